/** The newest by version, number by number: 10.0.2 is newer than 7.2.22. Null of none. */
export function newest<T extends { readonly version: string }>(qemus: readonly T[]): T | null {
  const numbers = (qemu: T) => qemu.version.split(/[^0-9]+/).map(Number);
  const newer = (a: T, b: T): number => {
    const [left, right] = [numbers(a), numbers(b)];
    const i = left.findIndex((number, at) => number !== right[at]);
    return i === -1 ? 0 : left[i]! - (right[i] ?? -1);
  };
  return qemus.reduce<T | null>((best, one) => (best === null || newer(one, best) > 0 ? one : best), null);
}
