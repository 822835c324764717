const SAMPLES = 5;

/**
 * How far the target's wall clock is ahead of ours, ms (negative: behind). The quickest of a few questions counts: half
 * its round trip bounds the error.
 */
export async function clockOffsetMs(ask: () => Promise<number>, wallMs: () => number): Promise<number> {
  let best = { tripMs: Number.POSITIVE_INFINITY, offsetMs: 0 };
  for (let n = 0; n < SAMPLES; n++) {
    const askedMs = wallMs();
    const theirsMs = await ask();
    const answeredMs = wallMs();
    const tripMs = answeredMs - askedMs;
    if (tripMs < best.tripMs) best = { tripMs, offsetMs: theirsMs - (askedMs + answeredMs) / 2 };
  }
  return best.offsetMs;
}
