/** Sequences of frames as one input: kind, three bytes of length, payload, and again. */
import { loadKernels, PAGE_BYTES } from "../kernels/mod.ts";
import { ENGINES, HashedIndex, PageEncoder, PageNumbers, SlottedStore } from "../src/pages/mod.ts";
import { type Barrier, type StreamHandler, StreamReader } from "../src/stream/mod.ts";
import {
  DataKind,
  encodePagesPrefix,
  encodeRecordsPrefix,
  PAGES_BODY_BYTES_MAX,
  PAYLOAD_BYTES_MAX,
  PagesForm,
} from "../src/wire/mod.ts";
import { mutatedElements } from "./elements.ts";
import { splice } from "./mutate.ts";
import type { Random } from "./random.ts";
import { BLOCKS } from "./seeds.ts";

export interface Frame {
  readonly kind: number;
  readonly payload: Uint8Array;
}

const HEAD_BYTES = 4;
/** As both relays number them (docs/wire.md). */
const PLACES: Readonly<Record<Barrier, number>> = { discard: 1, package: 2, end: 3, devices: 4 };

export function joined(frames: readonly Frame[]): Uint8Array {
  return Buffer.concat(
    frames.flatMap(({ kind, payload }) => {
      const head = Buffer.alloc(HEAD_BYTES);
      head.writeUInt32BE(payload.length);
      head[0] = kind;
      return [head, payload];
    }),
  );
}

/** Any bytes are frames of some kind; the last one may be cut short. */
export function split(input: Uint8Array): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + HEAD_BYTES <= input.length; ) {
    const bytes = (input[at + 1]! << 16) | (input[at + 2]! << 8) | input[at + 3]!;
    const start = at + HEAD_BYTES;
    at = start + Math.min(bytes, PAYLOAD_BYTES_MAX);
    frames.push({ kind: input[start - HEAD_BYTES]!, payload: input.subarray(start, at) });
  }
  return frames;
}

/** A digest whose sum is to be filled in by who has it: a peer that knows what it does. */
export function digest(barrier: Barrier): Frame {
  return { kind: DataKind.digest, payload: Uint8Array.of(PLACES[barrier]) };
}

/** A stream as a source relay without an engine sends it. */
export function framesOf(bytes: Uint8Array): Frame[] {
  const frames: Frame[] = [];
  let pages = 0;
  const reader = new StreamReader({
    bytes: (buffer, start, end) => frames.push({ kind: DataKind.stream, payload: buffer.slice(start, end) }),
    page: () => {
      pages++;
    },
    records(buffer, start, end, context) {
      const prefix = encodeRecordsPrefix({ context: context?.index, pages });
      frames.push({ kind: DataKind.records, payload: Buffer.concat([prefix, buffer.subarray(start, end)]) });
      pages = 0;
    },
    barrier: (barrier) => frames.push(digest(barrier)),
  } satisfies StreamHandler);
  for (let p = 0; p < bytes.length; ) {
    const next = reader.push(bytes, p, Math.min(bytes.length, p + 70_000));
    if (next === p) break;
    p = next;
  }
  return frames;
}

/** `pages` frames with entries of each form, as the encoder writes them. */
export function pagesFrames(): Frame[] {
  const kernels = loadKernels({ memoryBytes: 65_536 + 2 ** 20 });
  const bodyAt = kernels.freeStart;
  const pageAt = bodyAt + PAGES_BODY_BYTES_MAX + 1024;
  const numbers = new PageNumbers(BLOCKS);
  const store = new SlottedStore(kernels, { start: pageAt + PAGE_BYTES, bytes: 64 * 1024 }, numbers.total);
  const encoder = new PageEncoder(kernels, store, new HashedIndex(store.slots), ENGINES.auto, numbers);
  const contents: ((page: number) => (i: number) => number)[] = [
    (page) => (i) => (i * 167 + (i >> 3) * (page + 3)) & 0xff,
    (page) => (i) => (i % 400 === page ? 7 : (i * 167 + (i >> 3) * (page + 3)) & 0xff),
    () => (i) => (i % 512 === 0 ? 1 : 0),
    () => (i) => [0x12, 0x20 + (i & 8), 0x20, 0x20][i & 3]!,
    () => (i) => (i * 167 + (i >> 3) * 3) & 0xff,
  ];
  const frames: Frame[] = [];
  for (const content of contents) {
    encoder.begin(bodyAt, PAGES_BODY_BYTES_MAX, false);
    for (const page of [0, 1, 2, 70]) {
      const byte = content(page);
      for (let i = 0; i < PAGE_BYTES; i++) kernels.bytes[pageAt + i] = byte(i);
      kernels.addresses[0] = pageAt;
      kernels.hashPages(1);
      encoder.add(page, pageAt, kernels.hashes[0]!, kernels.hashes[1]!);
    }
    encoder.addZero(5);
    encoder.addZero(6);
    const { bytes, entries } = encoder.finish();
    const prefix = encodePagesPrefix({ form: PagesForm.plain, entries, bodyBytes: bytes });
    frames.push({
      kind: DataKind.pages,
      payload: Buffer.concat([prefix, kernels.bytes.subarray(bodyAt, bodyAt + bytes)]),
    });
  }
  return frames;
}

const KINDS = Object.values(DataKind);

/** Frames doubled, left out, moved, cut in two, of another kind; the elements of one changed. */
export function mutatedFrames(input: Uint8Array, random: Random): Uint8Array {
  const frames = split(input);
  if (frames.length === 0) return input;
  const at = random.below(frames.length);
  const { kind, payload } = frames[at]!;
  switch (random.below(7)) {
    case 0:
      frames.splice(at, 1);
      break;
    case 1:
      frames.splice(random.below(frames.length), 0, frames[at]!);
      break;
    case 2:
      frames.splice(random.below(frames.length), 0, ...frames.splice(at, 1));
      break;
    case 3: {
      const cut = random.below(payload.length);
      frames.splice(
        at,
        1,
        { kind, payload: payload.subarray(0, cut) },
        { kind, payload: payload.subarray(cut) },
      );
      break;
    }
    case 4:
      frames[at] = { kind: random.pick(KINDS), payload };
      break;
    case 5:
      frames.splice(at, 0, digest(random.pick(["discard", "package", "end", "devices"])));
      break;
    default:
      frames[at] = {
        kind,
        payload: kind === DataKind.stream ? mutatedElements(payload, random) : patched(payload, random),
      };
  }
  return joined(frames);
}

/** Near its beginning, where the lengths and numbers are. */
function patched(payload: Uint8Array, random: Random): Uint8Array {
  const noise = Uint8Array.from({ length: 1 + random.below(4) }, () =>
    random.pick([0, 1, 0x7f, 0x80, 0xff, random.next() & 0xff]),
  );
  const at = random.below(Math.min(payload.length, 64));
  return splice(payload, at, random.oneIn(4) ? 0 : noise.length, noise);
}
