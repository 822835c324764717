// Delta of a page against its base: what changed, run by run. The idea is QEMU's XBZRLE (docs/devel/migration, "XBZRLE"),
// the format is ours: heads of one or two bytes, plain bytes instead of their xor.
import { copyBytes } from "./copy";
import { FAR_LENGTH_MAX, LONG, NEAR_GAP_MAX } from "./delta_format";
import { apart, PAGE, readable, writable } from "./ranges";

// @ts-ignore: decorator
@inline
function bitsOf(lanes: v128): u64 {
  return <u64>(<u32>i8x16.bitmask(lanes));
}

/** Room that a short run takes, and bytes that it reads, when whole vectors are copied. */
const SHORT_ROOM: usize = 18;
const SHORT_LAST: u32 = 4096 - 16;

/** Writes the run from byte `start` to `stop` of the page with its head. Returns the place behind it, or 0: no room. */
// @ts-ignore: decorator
@inline
function writeRun(at: usize, end: usize, page: usize, written: u32, start: u32, stop: u32): usize {
  const gap = start - written;
  const length = stop - start;
  if (length < LONG && start <= SHORT_LAST && end - at >= SHORT_ROOM) {
    if (gap <= NEAR_GAP_MAX) {
      store<u8>(at, (gap << 4) | (length - 1));
      v128.store(at, v128.load(page + start), 1);
      return at + 1 + length;
    }
    if (length <= FAR_LENGTH_MAX) {
      store<u8>(at, 0x80 | (gap >> 5));
      store<u8>(at, (gap << 3) | (length - 1), 1);
      store<u64>(at, load<u64>(page + start), 2);
      return at + 2 + length;
    }
  }
  return writeAnyRun(at, end, gap, page + start, length);
}

/** The same for any length and any room: writes not one byte more. */
function writeAnyRun(at: usize, end: usize, gap: u32, from: usize, length: u32): usize {
  if (gap > NEAR_GAP_MAX) {
    const first = min<u32>(length, FAR_LENGTH_MAX);
    if (end - at < 2 + first) return 0;
    store<u8>(at, 0x80 | (gap >> 5));
    store<u8>(at, (gap << 3) | (first - 1), 1);
    copyBytes(at + 2, from, first);
    at += 2 + first;
    if (first == length) return at;
    // What is left follows at once.
    gap = 0;
    from += first;
    length -= first;
  }
  const room = end - at;
  if (length < LONG) {
    if (room < 1 + length) return 0;
    store<u8>(at, (gap << 4) | (length - 1));
    copyBytes(at + 1, from, length);
    return at + 1 + length;
  }
  const more = length - LONG;
  const head: u32 = more < 128 ? 2 : 3;
  if (room < head + length) return 0;
  store<u8>(at, (gap << 4) | (LONG - 1));
  store<u8>(at, more < 128 ? more : (more & 127) | 128, 1);
  if (more >= 128) store<u8>(at, more >> 7, 2);
  copyBytes(at + head, from, length);
  return at + head + length;
}

/**
 * Encodes `page` against `base`. Returns the length, at least 1; 0 when it would be above `outMax`. Nothing beyond
 * `outMax` is ever written.
 */
export function deltaEncode(base: usize, page: usize, out: usize, outMax: u32): u32 {
  readable(base, PAGE);
  readable(page, PAGE);
  writable(out, outMax);
  apart(out, outMax, base, PAGE);
  apart(out, outMax, page, PAGE);
  const end = out + outMax;
  let at = out;
  let written: u32 = 0;
  // The run that is not written yet: the next one may join it. None while `stop` is 0.
  let start: u32 = 0;
  let stop: u32 = 0;
  for (let block: u32 = 0; block < <u32>PAGE; block += 64) {
    const a = base + block;
    const b = page + block;
    const e0 = i8x16.eq(v128.load(a), v128.load(b));
    const e1 = i8x16.eq(v128.load(a, 16), v128.load(b, 16));
    const e2 = i8x16.eq(v128.load(a, 32), v128.load(b, 32));
    const e3 = i8x16.eq(v128.load(a, 48), v128.load(b, 48));
    if (i8x16.bitmask(v128.and(v128.and(e0, e1), v128.and(e2, e3))) == 0xffff) continue;
    // A bit per byte, the first the lowest.
    let changed = ~(bitsOf(e0) | (bitsOf(e1) << 16) | (bitsOf(e2) << 32) | (bitsOf(e3) << 48));
    // One unchanged byte between two changed ones joins them: a head costs as much as the byte.
    changed |= (changed << 1) & (changed >> 1);
    do {
      // The carry of this sum runs through the lowest run of ones and stops behind it.
      const behind = changed + (changed & (0 - changed));
      const from = block + <u32>ctz<u64>(changed);
      const to = block + <u32>ctz<u64>(behind);
      changed &= behind;
      if (stop == 0) {
        start = from;
      } else if (from > stop + 1) {
        at = writeRun(at, end, page, written, start, stop);
        if (at == 0) return 0;
        written = stop;
        start = from;
      }
      stop = to;
    } while (changed != 0);
  }
  // Equal pages: a run of one byte, so that no body is empty.
  if (stop == 0) stop = 1;
  at = writeRun(at, end, page, written, start, stop);
  return at == 0 ? 0 : <u32>(at - out);
}
