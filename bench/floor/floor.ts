import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import type { Floor, LinkShape } from "../../src/bench/mod.ts";

const PAGE_BYTES = 4096;
const READ_PAGES = 1024;
const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);
const compress = promisify(zstdCompress);

export interface PackEffort {
  readonly level: number;
  /** Window as a power of two; all that zstd decoders take without being asked is 27. */
  readonly windowLog: number;
}

/** Around a minute for 100 MB on one core. More of either gains a percent or two. */
const BEST: PackEffort = { level: 19, windowLog: 28 };

/**
 * The floor of these memories. Each content counts once, wherever it is found again, and all contents are packed as one
 * piece: no system could send less without knowing more of the guest than its bytes. What is written while it crosses is
 * not in it.
 * @param files  raw memories, whole pages
 */
export async function floorOf(
  files: readonly string[],
  link: Pick<LinkShape, "bytesPerSec">,
  effort = BEST,
): Promise<Floor> {
  const seen = new Set<string>();
  const distinct: Buffer[] = [];
  let memoryBytes = 0;
  let nonzeroPages = 0;
  for (const file of files)
    for await (const page of pagesOf(file)) {
      memoryBytes += page.length;
      if (page.equals(ZERO_PAGE)) continue;
      nonzeroPages++;
      // A strong hash: two contents under one name would make the floor too low.
      const name = createHash("sha256").update(page).digest("latin1");
      if (seen.has(name)) continue;
      seen.add(name);
      distinct.push(Buffer.from(page));
    }
  const packed = await compress(Buffer.concat(distinct), {
    params: {
      [constants.ZSTD_c_compressionLevel]: effort.level,
      [constants.ZSTD_c_windowLog]: effort.windowLog,
      [constants.ZSTD_c_enableLongDistanceMatching]: 1,
    },
  });
  return {
    memoryBytes,
    nonzeroPages,
    distinctPages: distinct.length,
    packedBytes: packed.length,
    linkMs: link.bytesPerSec === null ? null : (packed.length * 1000) / link.bytesPerSec,
  };
}

/** Pages are good until the next one is asked for. */
async function* pagesOf(file: string): AsyncGenerator<Buffer, void, void> {
  const handle = await open(file);
  try {
    const chunk = Buffer.alloc(READ_PAGES * PAGE_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(chunk, 0, chunk.length);
      if (bytesRead === 0) return;
      for (let at = 0; at < bytesRead; at += PAGE_BYTES) {
        yield chunk.subarray(at, Math.min(at + PAGE_BYTES, bytesRead));
      }
    }
  } finally {
    await handle.close();
  }
}
