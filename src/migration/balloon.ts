/**
 * How far a guest's balloon is blown up, and when it has to give way: by the guest's own figures alone.
 * After Waldspurger, OSDI 2002 (the balloon, and a reserve that no guest is pushed below) and Hines and Gopalan,
 * VEE 2009 (a guest that is kept at what it needs: taken from step by step, given back to at once).
 */

const MIB = 2 ** 20;
/** The reserve that a guest keeps available: a share of its RAM, and at least so much. */
const RESERVE_SHARE = 0.1;
const RESERVE_BYTES_MIN = 32 * MIB;
/** So much is taken at once before the guest is asked again. */
const STEP_SHARE = 1 / 8;
const STEP_BYTES_MIN = 16 * MIB;
/** Less is not worth an order. */
const GAIN_BYTES_MIN = 4 * MIB;
/** Between two answers; a guest that starts a program has dozens. */
const MAJOR_FAULTS_MAX = 100;

/** What the rules need of the guest's figures; null: this guest does not say. */
export interface MemoryFigures {
  readonly freeBytes: number | null;
  readonly availableBytes: number | null;
  readonly majorFaults: number | null;
  readonly swapOutBytes: number | null;
}

/** A guest, its RAM without a balloon and with the one that it has now, bytes. */
export interface Ballooned {
  readonly ramBytes: number;
  readonly sizeBytes: number;
  readonly memory: MemoryFigures;
}

/** What the guest could have at once, bytes; null: it does not say. Old drivers know free memory only. */
export function spareBytesOf(memory: MemoryFigures): number | null {
  return memory.availableBytes ?? memory.freeBytes;
}

/** Bytes that a guest of this RAM keeps available: `max(10 % of RAM, 32 MiB)`. */
export function reserveBytes(ramBytes: number): number {
  return Math.max(Math.floor(ramBytes * RESERVE_SHARE), RESERVE_BYTES_MIN);
}

/**
 * The size, in bytes, to which the guest is asked to shrink next: by one step, and never into its reserve.
 * null: nothing worth an order is left to take, or the guest does not say what it has.
 */
export function nextSmaller({ ramBytes, sizeBytes, memory }: Ballooned): number | null {
  const spare = spareBytesOf(memory);
  if (spare === null) return null;
  const gain = Math.min(
    spare - reserveBytes(ramBytes),
    Math.max(Math.floor(ramBytes * STEP_SHARE), STEP_BYTES_MIN),
  );
  return gain < GAIN_BYTES_MIN ? null : Math.floor(sizeBytes - gain);
}

/** Whether the guest lacks memory: half of its reserve is gone, it swaps, or it reads its own programs again. */
export function isPressed(ramBytes: number, now: MemoryFigures, before: MemoryFigures | null): boolean {
  const spare = spareBytesOf(now);
  if (spare !== null && spare < reserveBytes(ramBytes) / 2) return true;
  if (before === null) return false;
  const rise = (figure: "majorFaults" | "swapOutBytes") => (now[figure] ?? 0) - (before[figure] ?? 0);
  return rise("swapOutBytes") > 0 || rise("majorFaults") > MAJOR_FAULTS_MAX;
}

/**
 * The size, in bytes, that a guest under pressure gets: its reserve filled up, and half of one more, so that it is not
 * under pressure again at once. At most `mostBytes`. The same size: there is nothing to give.
 */
export function relievedSize({ ramBytes, sizeBytes, memory }: Ballooned, mostBytes: number): number {
  const reserve = reserveBytes(ramBytes);
  const lack = Math.max(reserve - (spareBytesOf(memory) ?? reserve), 0);
  return Math.max(sizeBytes, Math.min(mostBytes, sizeBytes + lack + Math.floor(reserve / 2)));
}
