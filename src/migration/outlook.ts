/**
 * What more passes of pre-copy would cost, for a move that may turn to post-copy instead. Pure.
 *
 * A pass of n bytes takes n / link, and leaves what the guest writes meanwhile. That is less than what it found in the
 * same proportion at best: distinct pages grow ever slower with time, because some are written again. So `share` is a
 * bound from below for the second pass, which is much shorter than the first, and about right for each later one.
 */

/** What is known when the newest pass has begun. */
export interface PassFigures {
  /** When it began, ms since the order. */
  readonly beganAtMs: number;
  /** What it found, bytes of pages. */
  readonly setBytes: number;
  /** How long the guest had to write that: the pass before, ms, > 0. */
  readonly writtenInMs: number;
  /** What crosses of each byte of pages that are sent again, > 0. */
  readonly ratio: number;
  readonly linkBytesPerSec: number;
  readonly intakeBytesPerSec: number;
  /** How long copying may take in a stop, ms; below 0: no stop is allowed. */
  readonly budgetMs: number;
  /** What crossed in the first pass, and in all later ones before this one. */
  readonly firstPassBytes: number;
  readonly laterBytes: number;
}

/** All bytes as they cross the link. */
export interface Outlook {
  /** A stop instead of this pass would have been short enough. */
  readonly fits: boolean;
  /** What the next pass finds, of what this one found. */
  readonly share: number;
  /** What passes after the first have carried, or would have, when a stop fits at last. Infinity: it never does. */
  readonly passesBytes: number;
  readonly firstPassBytes: number;
  /** Of the whole move, if this pass were made and did not help. */
  readonly wholeBytes: number;
  /** When that would be over, ms since the order. */
  readonly wholeMs: number;
}

/**
 * @example outlookOf({ beganAtMs: 10_000, setBytes: 20e6, writtenInMs: 8_000, ratio: 1, linkBytesPerSec: 10e6,
 *   intakeBytesPerSec: 1e9, budgetMs: 250, firstPassBytes: 80e6, laterBytes: 0 }) // share 0.25, passesBytes 23.3e6
 */
export function outlookOf(pass: PassFigures): Outlook {
  const { setBytes, ratio, linkBytesPerSec, intakeBytesPerSec, firstPassBytes, laterBytes } = pass;
  const passBytes = ratio * setBytes;
  const passMs = Math.max(passBytes / linkBytesPerSec, setBytes / intakeBytesPerSec) * 1000;
  const share = passMs / pass.writtenInMs;
  const fits = passMs <= pass.budgetMs;
  // A geometric series that ends at what fits; at least this pass.
  const tooMuch = passMs === 0 ? 0 : 1 - Math.max(0, pass.budgetMs) / passMs;
  const neededBytes = share < 1 ? passBytes * Math.max(1, tooMuch / (1 - share)) : Number.POSITIVE_INFINITY;
  return {
    ...{ fits, share, firstPassBytes },
    passesBytes: laterBytes + (fits ? 0 : neededBytes),
    wholeBytes: firstPassBytes + laterBytes + 2 * passBytes,
    wholeMs: pass.beganAtMs + 2 * passMs,
  };
}
