/**
 * The longest time without a heartbeat, ms.
 * @param beatsMs  when beats were read, by one clock, in any order; both hosts' together
 * @param window  only what lies in it counts; silence up to its end counts as well
 * @returns null when the guest was not heard at all
 */
export function longestGapMs(
  beatsMs: readonly number[],
  window: { readonly fromMs: number; readonly toMs: number },
): number | null {
  const inside = beatsMs.filter((ms) => ms >= window.fromMs && ms <= window.toMs).sort((a, b) => a - b);
  if (inside.length === 0) return null;
  const edges = [...inside, window.toMs];
  return edges.slice(1).reduce((longest, ms, index) => Math.max(longest, ms - edges[index]!), 0);
}
