import { createCipheriv } from "node:crypto";
import { open } from "node:fs/promises";

/** Of the disk that fills a guest's page cache. */
export const DISK_MIB = 96;
const EXTENT_BYTES = 64 * 1024;
const WORDS =
  "the of and a page cache holds what was read once from a slow disk so that it need not be read again until".split(
    " ",
  );

/**
 * Writes a raw disk of DISK_MIB MiB: extents of 64 KiB, by turns text and incompressible. Always the same bytes: the
 * key stream of AES in counter mode is where both come from.
 */
export async function writeDisk(path: string): Promise<void> {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16));
  const random = (bytes: number): Buffer => cipher.update(Buffer.alloc(bytes));
  const file = await open(path, "w");
  try {
    for (let at = 0; at < DISK_MIB * 2 ** 20; at += 2 * EXTENT_BYTES)
      await file.writev([text(random(EXTENT_BYTES / 2)), random(EXTENT_BYTES)], at);
  } finally {
    await file.close();
  }
}

/** Words in an order that the bytes of `order` say, cut to one extent. */
function text(order: Buffer): Buffer {
  const words = Array.from(order, (byte) => WORDS[byte % WORDS.length]!);
  return Buffer.from(words.join(" "), "latin1").subarray(0, EXTENT_BYTES);
}
