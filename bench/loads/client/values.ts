import { randomOf } from "./random.ts";

const POOL_BYTES = 1 << 20;
const PIECE_BYTES = 512;
const WORDS = ["user", "session", "visited", "true", "false", "price", "stock", "Oslo", "Riga", "null"];

/** What values are cut from: by turns text like that of a web session, and incompressible bytes. */
function makePool(): Buffer {
  const random = randomOf(7);
  const pool = Buffer.alloc(POOL_BYTES);
  for (let at = 0; at < POOL_BYTES; at += 2 * PIECE_BYTES) {
    let text = "";
    while (text.length < PIECE_BYTES)
      text += `"${WORDS[random() % WORDS.length]}": "${WORDS[random() % WORDS.length]}", `;
    pool.write(text.slice(0, PIECE_BYTES), at, "latin1");
    for (let byte = 0; byte < PIECE_BYTES; byte += 4) pool.writeUInt32LE(random(), at + PIECE_BYTES + byte);
  }
  return pool;
}

export const POOL = makePool();

/** Where the value of a key in one of its versions lies in the pool: `bytes` from `at`, and `header` over their beginning. */
export function cutOf(key: number, version: number): { at: number; bytes: number; header: string } {
  const random = randomOf(((key + 1) * 0x9e3779b1) ^ (version * 0x85ebca6b) || 1);
  random();
  const bytes = 1024 + (random() % 4096);
  return { at: random() % (POOL_BYTES - bytes), bytes, header: `${key} ${version} ` };
}

/** That value: 1 to 5 KiB, 3 on average. No two are the same. */
export function valueAt(key: number, version: number): Buffer {
  const { at, bytes, header } = cutOf(key, version);
  const value = Buffer.from(POOL.subarray(at, at + bytes));
  value.write(header, "latin1");
  return value;
}
