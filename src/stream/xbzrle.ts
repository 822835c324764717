/**
 * Is `buffer[start..end)` an XBZRLE body that decodes inside one page?
 * The body repeats: length of an unchanged run, length of a changed run, the changed bytes. Lengths are uleb128 of at
 * most two bytes; only the first unchanged run may be empty; a trailing unchanged run is left out.
 */
export function xbzrleFits(buffer: Uint8Array, start: number, end: number, pageBytes: number): boolean {
  let p = start;
  let covered = 0;
  while (p < end) {
    for (const changed of [false, true]) {
      if (p >= end) return false;
      let run = buffer[p++]!;
      if (run >= 0x80) {
        if (p >= end || buffer[p]! >= 0x80) return false;
        run = (run & 0x7f) | (buffer[p++]! << 7);
      }
      if (run === 0 && (changed || covered > 0)) return false;
      covered += run;
      if (covered > pageBytes) return false;
      if (changed) p += run;
    }
  }
  return p === end;
}
