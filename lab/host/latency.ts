/**
 * One-way latencies, evenly spread over latencyMs ± jitterMs and never below 0. The same seed draws the same row.
 * @param options.seed  unsigned 32-bit integer
 */
export function latencies(options: {
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly seed: number;
}): () => number {
  const { latencyMs, jitterMs } = options;
  if (jitterMs === 0) return () => latencyMs;
  let state = options.seed >>> 0;
  // a linear congruential generator (Numerical Recipes): its high bits are what is used, and that is good enough here
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.max(0, latencyMs + (state / 2 ** 31 - 1) * jitterMs);
  };
}
