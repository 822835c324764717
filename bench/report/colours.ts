import type { SystemInfo } from "../../src/bench/mod.ts";

/** Stock is warm, Godwit is cool; the page's style sheet holds both for light and dark (`--stock-0`, `--godwit-0`). */
export const PALETTE = {
  light: {
    stock: ["#b45309", "#dc2626", "#a16207", "#be185d", "#78716c", "#7c2d12"],
    godwit: ["#2563eb", "#0f766e", "#7c3aed", "#0891b2", "#15803d", "#4338ca"],
  },
  dark: {
    stock: ["#f59e0b", "#f87171", "#eab308", "#f472b6", "#a8a29e", "#fdba74"],
    godwit: ["#60a5fa", "#2dd4bf", "#a78bfa", "#22d3ee", "#4ade80", "#818cf8"],
  },
} as const;

const COLOURS = 6;

/** A symbol as well, for eyes that do not tell the colours apart. */
const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "wye"] as const;

export interface Look {
  readonly colour: string;
  readonly symbol: (typeof SYMBOLS)[number];
}

/** The look of a system, the same on the whole page. */
export function looks(systems: readonly SystemInfo[]): ReadonlyMap<string, Look> {
  const count = { stock: 0, godwit: 0 };
  return new Map(
    systems.map(({ name, family }) => {
      const index = count[family]++ % COLOURS;
      return [name, { colour: `var(--${family}-${index})`, symbol: SYMBOLS[index]! }] as const;
    }),
  );
}
