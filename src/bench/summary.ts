/** What the benches say of repeated measurements: the middle and the spread, never a single run. */
export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly count: number;
}

/** @param values  at least one; the median of an even number is the mean of the middle two */
export function summary(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)!, count: sorted.length };
}

/** As `1.02 (0.98 to 1.10)`. */
export function say({ median, least, most }: Summary, digits: number): string {
  return `${median.toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`;
}
