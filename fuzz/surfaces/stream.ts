/** The stream's reader with its firewall: any cut tells the same, it keeps little, and a QEMU meets nothing forbidden. */
import assert from "node:assert/strict";
import {
  CARRY_BYTES_MAX,
  concat,
  explicitFirst,
  partHeader,
  partTrailer,
  type RamBlock,
  StreamFault,
  type StreamHandler,
  StreamReader,
} from "../../src/stream/mod.ts";
import { mutatedElements } from "../elements.ts";
import { judge } from "../judge.ts";
import { hashOf, Random } from "../random.ts";
import { captures, smallStreams } from "../seeds.ts";
import type { Surface, Verdict } from "../types.ts";

const LIMITS = { ramBytesMax: 2 ** 30, deviceBytesMax: 128 * 1024 } as const;

interface Read {
  /** What a QEMU behind this reader would be given. */
  readonly given: Uint8Array;
  readonly pages: number;
  readonly fault: StreamFault | undefined;
}

function read(bytes: Uint8Array, cut: (at: number) => number): Read {
  const given: Uint8Array[] = [];
  let pages = 0;
  let last: RamBlock | undefined;
  let told: RamBlock | undefined;
  const handler: StreamHandler = {
    bytes: (buffer, start, end) => given.push(buffer.slice(start, end)),
    page(block, offset, _kind, _buffer, start, end) {
      assert(offset >= 0 && offset % 4096 === 0 && offset + 4096 <= block.bytes, "a page lies in its block");
      assert(end > start, "a page has a body");
      told = block;
      pages++;
    },
    records(buffer, start, end, context) {
      const id = reader.ram!.id;
      const first = explicitFirst(buffer, start, context, last);
      last = told;
      const behind = first === undefined ? start : start + 8;
      given.push(partHeader(id), ...(first === undefined ? [] : [first]), buffer.slice(behind, end));
      given.push(partTrailer(id));
    },
    barrier: () => undefined,
  };
  const reader = new StreamReader(handler, { firewall: { ...LIMITS, passUnchecked: false } });
  let fault: StreamFault | undefined;
  try {
    for (let p = 0, end = 0; end < bytes.length; ) {
      end = Math.min(bytes.length, cut(end));
      p = reader.push(bytes, p, end);
      assert(end - p <= CARRY_BYTES_MAX, "the carry is bounded");
    }
    reader.end();
  } catch (error) {
    if (!(error instanceof StreamFault)) throw error;
    fault = error;
  }
  return { given: concat(given), pages, fault };
}

function run(input: Uint8Array): Verdict {
  const whole = read(input, () => input.length);
  judge(whole.given, { ...LIMITS, pagesOnce: false });
  const random = new Random(hashOf(input));
  const size = random.pick([7, 64, 500, 5000, 70_000]) + input.length / 2000;
  const pieces = read(input, (at) => at + 1 + random.below(size));
  assert.equal(pieces.fault?.rule, whole.fault?.rule, "any cut breaks the same rule");
  assert.equal(pieces.fault?.atByte, whole.fault?.atByte, "at the same place");
  assert.equal(pieces.pages, whole.pages, "behind the same pages");
  // PART framing is made anew for each run of records; what is judged is what each of them gives.
  judge(pieces.given, { ...LIMITS, pagesOnce: false });
  return whole.fault === undefined ? "accepted" : "rejected";
}

export const stream: Surface = {
  name: "stream",
  weight: 30,
  seeds: () => [...smallStreams(), ...captures("stream")],
  run,
  mutate: mutatedElements,
};
