/** CRC-32 of a range of bytes, 0..2^32-1, going on from the value of what comes before. The link hands in node:zlib's. */
export type Checksum = (bytes: Uint8Array, before?: number) => number;

const TABLE = new Uint32Array(256);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  TABLE[n] = c;
}

/** The plain twin of node:zlib's crc32 (IEEE, reflected): for places without node, and to test against. */
export function crc32Plain(bytes: Uint8Array, before = 0): number {
  let c = before ^ 0xffffffff;
  for (const byte of bytes) c = TABLE[(c ^ byte) & 0xff]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}
