/** The number of zero bytes. */
export function countZeroBytesTwin(page: Uint8Array): number {
  return page.reduce((count, byte) => count + (byte === 0 ? 1 : 0), 0);
}

/** Offset of the first difference; the length when there is none. */
export function comparePagesTwin(a: Uint8Array, b: Uint8Array): number {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at === -1 ? a.length : at;
}
