// Sparse, back: judged whole, then written.
import { NO_RULE, SPARSE_EMPTY, SPARSE_TRUNCATED, SPARSE_WORD_OUTSIDE_PAGE } from "../ruleNumbers";
import { apart, PAGE, readable, writable } from "./ranges";
import { GAP_MORE } from "./sparse_encode";

const WORDS: u32 = 1024;

/** The first rule that the body breaks, from its beginning. */
function brokenRule(at: usize, end: usize): u32 {
  if (at == end) return SPARSE_EMPTY;
  let next: u32 = 0;
  do {
    const head: u32 = load<u8>(at++);
    let gap = head & 63;
    if (gap == GAP_MORE) {
      if (at == end) return SPARSE_TRUNCATED;
      const more: u32 = load<u8>(at++);
      gap += more & 127;
      if (more >= 128) {
        if (at == end) return SPARSE_TRUNCATED;
        gap += <u32>load<u8>(at++) << 7;
      }
    }
    next += gap;
    if (next >= WORDS) return SPARSE_WORD_OUTSIDE_PAGE;
    next++;
    const width: usize = (head >> 6) + 1;
    if (width > end - at) return SPARSE_TRUNCATED;
    at += width;
  } while (at < end);
  return NO_RULE;
}

/** A value of 1..4 bytes, reading no byte beyond them. */
// @ts-ignore: decorator
@inline
function valueAt(at: usize, width: u32, end: usize): u32 {
  if (end - at >= 4) return load<u32>(at) & (<u32>0xffffffff >> (32 - (width << 3)));
  let value: u32 = 0;
  for (let i: u32 = 0; i < width; i++) value |= <u32>load<u8>(at + i) << (i << 3);
  return value;
}

/** Writes the words of a body that breaks no rule onto zeros. */
function apply(at: usize, end: usize, page: usize): void {
  do {
    const head: u32 = load<u8>(at++);
    let gap = head & 63;
    if (gap == GAP_MORE) {
      const more: u32 = load<u8>(at++);
      gap += more & 127;
      if (more >= 128) gap += <u32>load<u8>(at++) << 7;
    }
    const width = (head >> 6) + 1;
    page += <usize>gap << 2;
    store<u32>(page, valueAt(at, width, end));
    page += 4;
    at += width;
  } while (at < end);
}

/** Makes a page of a body. Returns 0, or the rule that the body breaks: then nothing was written. */
export function sparseDecode(body: usize, bytes: u32, page: usize): u32 {
  readable(body, bytes);
  writable(page, PAGE);
  apart(body, bytes, page, PAGE);
  const rule = brokenRule(body, body + bytes);
  if (rule != NO_RULE) return rule;
  memory.fill(page, 0, PAGE);
  apply(body, body + bytes, page);
  return NO_RULE;
}
