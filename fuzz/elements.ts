/** Changes of a stream by its elements: one doubled, left out, moved, or brought in from another place. */
import { type StreamHandler, StreamReader } from "../src/stream/mod.ts";
import { splice } from "./mutate.ts";
import type { Random } from "./random.ts";

/** Where elements, records and pieces of `bytes` begin, as far as it can be read; 0 and the length at least. */
export function bounds(bytes: Uint8Array): number[] {
  const places = new Set([0, bytes.length]);
  const mark = (_: Uint8Array, start: number, end: number) => places.add(start).add(end);
  const reader = new StreamReader({
    bytes: (buffer, start, end) => {
      // What the reader writes itself lies in no place of the input.
      if (buffer === bytes) mark(buffer, start, end);
    },
    page: (_block, _offset, _kind, buffer, start, end) => mark(buffer, start, end),
    records: mark,
    barrier: () => undefined,
    element: () => places.add(reader.consumedBytes),
  } satisfies StreamHandler);
  try {
    reader.push(bytes, 0, bytes.length);
  } catch {
    // A broken one is as good, up to where it is broken.
  }
  for (let at = bytes.indexOf(0x7e); at >= 0 && places.size < 500; at = bytes.indexOf(0x7e, at + 1))
    places.add(at).add(Math.min(bytes.length, at + 5));
  return [...places].sort((a, b) => a - b);
}

/** Elements that tempt: where they must not come they must not pass. */
export const TEMPTING: readonly Uint8Array[] = [
  "0800020004000000ff", // PING
  "0800050000", // RUN
  "0800040000", // LISTEN
  "0800090000", // RESUME
  "080007000400000001", // PACKAGED
  "02000000020000000000000000020670632e72616d000000000000000010" + "7e00000002", // PART with a page
  "03000000020000000000000010" + "7e00000002",
  "00",
  "7e00000005",
  "7e000000050800050000",
  "7e7e7e7e7e0200000002",
  "040000000903616263000000000000000100",
  "0100000003047666696f0000000000000001",
].map((hex) => Uint8Array.from(Buffer.from(hex, "hex")));

export function mutatedElements(bytes: Uint8Array, random: Random): Uint8Array {
  const places = bounds(bytes);
  const from = random.below(places.length - 1);
  const to = Math.min(places.length - 1, from + 1 + random.below(3));
  const [start, end] = [places[from]!, places[to]!];
  const at = random.pick(places);
  switch (random.below(4)) {
    case 0:
      return splice(bytes, start, end - start, new Uint8Array(0));
    case 1:
      return splice(bytes, at, 0, bytes.subarray(start, end));
    case 2: {
      const without = splice(bytes, start, end - start, new Uint8Array(0));
      return splice(without, Math.min(at, without.length), 0, bytes.subarray(start, end));
    }
    default:
      return splice(bytes, at, random.oneIn(3) ? 9 : 0, random.pick(TEMPTING));
  }
}
