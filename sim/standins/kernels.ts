/**
 * In the place of kernels/mod.ts: the real kernels, over memories that go from world to world, cleared. A new one for each
 * relay would cost more than the rest of a world.
 */
import { loadKernels as load, type PageKernels } from "../../kernels/mod.ts";

export * from "../../kernels/mod.ts";

const MIB = 2 ** 20;
/** Of either relay; of a rescue relay, which lays its memory out itself. */
export const RELAY_BYTES = 4 * MIB;
const SIZES = [RELAY_BYTES, 8 * MIB];
const idle = new Map<number, PageKernels[]>(SIZES.map((bytes) => [bytes, []]));
const lent: PageKernels[] = [];

export function loadKernels({ memoryBytes }: { readonly memoryBytes: number }): PageKernels {
  const size = SIZES.find((bytes) => bytes >= memoryBytes);
  if (size === undefined) throw new Error(`a world has no memory of ${memoryBytes} bytes`);
  const reused = idle.get(size)!.pop();
  // What is below is the kernels' own: tables, scratch, and the seed that each relay sets.
  reused?.bytes.fill(0, reused.freeStart);
  reused?.seed(0, 0);
  const kernels = reused ?? load({ memoryBytes: size });
  lent.push(kernels);
  return kernels;
}

/** At the end of a world nobody uses any of them. */
export function giveBack(): void {
  for (const kernels of lent.splice(0)) idle.get(kernels.bytes.length)!.push(kernels);
}
