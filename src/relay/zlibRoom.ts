import type { ZstdCompress, ZstdDecompress } from "node:zlib";

/**
 * Makes a stream of Node's zlib, made with `chunkSize: room.length`, write its next results into `room` from `at` on.
 *
 * By itself it cuts results from a buffer of its own, one behind the other, and takes a new one when that is full: a result
 * that meets the end comes in two pieces, and tens of MB wait for garbage collection, which V8 then does ten times in a
 * move of 100 MB. To name the buffer is undocumented (tried on Node 26): where it cannot be done, nothing changes.
 *
 * @returns whether it could be done
 */
export function writeInto(stream: ZstdCompress | ZstdDecompress, room: Buffer, at: number): boolean {
  const bare = stream as unknown as { _outBuffer?: unknown; _outOffset?: unknown; _chunkSize?: unknown };
  if (!(bare._outBuffer instanceof Buffer) || typeof bare._outOffset !== "number") return false;
  if (bare._chunkSize !== room.length) return false;
  bare._outBuffer = room;
  bare._outOffset = at;
  return true;
}
