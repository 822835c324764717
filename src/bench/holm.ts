/**
 * Holm's correction over a family of tests. Tests that could not reach `alpha` even if they were alone with as many as
 * can (Tarone 1990) are left out of the family beforehand: that depends on the numbers of samples and not on what they
 * say, and keeps hopeless rows from drowning the others.
 * @param tests  p as measured, and the least p that its numbers of samples can give
 * @returns per test the corrected p, or null where there are too few samples to tell anything apart
 */
export function holm(
  tests: readonly { readonly p: number; readonly pLeast: number }[],
  alpha: number,
): (number | null)[] {
  const able = (size: number) => tests.filter(({ pLeast }) => pLeast < alpha / size);
  let size = 1;
  while (able(size).length > size) size++;
  const family = able(size).sort((a, b) => a.p - b.p);
  const corrected = new Map<object, number>();
  let most = 0;
  for (const [i, test] of family.entries()) {
    most = Math.min(1, Math.max(most, test.p * (size - i)));
    corrected.set(test, most);
  }
  return tests.map((test) => corrected.get(test) ?? null);
}
