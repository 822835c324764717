import { GodwitError } from "../errors/mod.ts";

/** What the source relay tells at the session's start, beside what the link itself needs. */
export interface Greeting {
  /** Seed of the page hashes, two u32. */
  readonly seed: { readonly low: number; readonly high: number };
}

export function encodeGreeting(greeting: Greeting): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(greeting));
}

/** @throws GodwitError LINK_FRAME when a peer's bytes are no greeting */
export function decodeGreeting(bytes: Uint8Array): Greeting {
  try {
    const { seed } = JSON.parse(new TextDecoder().decode(bytes)) as Greeting;
    if (isU32(seed.low) && isU32(seed.high)) return { seed: { low: seed.low, high: seed.high } };
  } catch (cause) {
    throw new GodwitError("LINK_FRAME", { rule: "greeting" }, { cause });
  }
  throw new GodwitError("LINK_FRAME", { rule: "greeting" });
}

/** What the target relay tells of itself at the end (payload of `summary`). */
export interface Summary {
  readonly cpuMs: number;
  readonly rssBytes: number;
  readonly faults: number;
}

export function encodeSummary(summary: Summary): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(summary));
}

/** @throws GodwitError LINK_FRAME when a peer's bytes are no summary */
export function decodeSummary(bytes: Uint8Array): Summary {
  try {
    const { cpuMs, rssBytes, faults } = JSON.parse(new TextDecoder().decode(bytes)) as Summary;
    if ([cpuMs, rssBytes, faults].every((n) => Number.isFinite(n) && n >= 0))
      return { cpuMs, rssBytes, faults };
  } catch (cause) {
    throw new GodwitError("LINK_FRAME", { rule: "summary" }, { cause });
  }
  throw new GodwitError("LINK_FRAME", { rule: "summary" });
}

function isU32(n: unknown): n is number {
  return typeof n === "number" && Number.isInteger(n) && n >= 0 && n <= 0xffffffff;
}
