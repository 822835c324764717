/**
 * The dynamic rate limit of Clark et al. (NSDI 2005): the first pass at the least rate, each later one at
 * the rate at which the guest wrote during the one before plus a constant, the stop-and-copy at the highest.
 */

export interface RateRange {
  readonly minBytesPerSec: number;
  readonly maxBytesPerSec: number;
  /** Above the rate of writing, so that each pass is shorter than the one before. */
  readonly stepBytesPerSec: number;
}

/** The paper's 50 Mbit/s. */
export const STEP_BYTES_PER_SEC = 6_250_000;

export interface RateChoice {
  readonly bytesPerSec: number;
  /** More than the most would be needed: passes will not get shorter any more. */
  readonly exceeded: boolean;
}

/**
 * The cap for a pass.
 *
 * @param wrote  pass: QEMU's, >= 1; dirtyBytesPerSec: what the guest wrote during the pass before, null: not known;
 *   encodedRatio: what of a written byte crosses the link, > 0; 1 for an engine that sends pages as they are
 * @returns within the range; the least for the first pass
 * @example rateOfPass({ minBytesPerSec: 1e6, maxBytesPerSec: 1e8, stepBytesPerSec: 6.25e6 },
 *   { pass: 2, dirtyBytesPerSec: 1e7, encodedRatio: 1 }) // { bytesPerSec: 16250000, exceeded: false }
 */
export function rateOfPass(
  range: RateRange,
  wrote: { readonly pass: number; readonly dirtyBytesPerSec: number | null; readonly encodedRatio: number },
): RateChoice {
  if (wrote.pass < 2 || wrote.dirtyBytesPerSec === null)
    return { bytesPerSec: range.minBytesPerSec, exceeded: false };
  const wanted = Math.ceil(wrote.dirtyBytesPerSec * wrote.encodedRatio + range.stepBytesPerSec);
  return {
    bytesPerSec: Math.min(range.maxBytesPerSec, Math.max(range.minBytesPerSec, wanted)),
    exceeded: wanted > range.maxBytesPerSec,
  };
}
