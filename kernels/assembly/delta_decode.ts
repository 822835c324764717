// Delta, back: the whole body is read and judged before the first byte of the page is written.
import { DELTA_EMPTY, DELTA_RUN_OUTSIDE_PAGE, DELTA_TRUNCATED, NO_RULE } from "../ruleNumbers";
import { copyBytes } from "./copy";
import { LONG } from "./delta_format";
import { apart, PAGE, readable, writable } from "./ranges";

/** The first rule that the body breaks, from its beginning. */
function brokenRule(at: usize, end: usize): u32 {
  if (at == end) return DELTA_EMPTY;
  let place: u32 = 0;
  do {
    const head: u32 = load<u8>(at++);
    let length: u32;
    if (head >= 128) {
      if (at == end) return DELTA_TRUNCATED;
      const low: u32 = load<u8>(at++);
      place += ((head & 127) << 5) | (low >> 3);
      length = (low & 7) + 1;
    } else {
      place += head >> 4;
      length = (head & 15) + 1;
      if (length == LONG) {
        if (at == end) return DELTA_TRUNCATED;
        const more: u32 = load<u8>(at++);
        length += more & 127;
        if (more >= 128) {
          if (at == end) return DELTA_TRUNCATED;
          length += <u32>load<u8>(at++) << 7;
        }
      }
    }
    place += length;
    if (place > <u32>PAGE) return DELTA_RUN_OUTSIDE_PAGE;
    if (<usize>length > end - at) return DELTA_TRUNCATED;
    at += length;
  } while (at < end);
  return NO_RULE;
}

/** Writes the runs of a body that breaks no rule. */
function apply(at: usize, end: usize, page: usize): void {
  do {
    const head: u32 = load<u8>(at++);
    let length: u32;
    if (head >= 128) {
      const low: u32 = load<u8>(at++);
      page += ((head & 127) << 5) | (low >> 3);
      length = (low & 7) + 1;
    } else {
      page += head >> 4;
      length = (head & 15) + 1;
      if (length == LONG) {
        const more: u32 = load<u8>(at++);
        length += more & 127;
        if (more >= 128) length += <u32>load<u8>(at++) << 7;
      }
    }
    copyBytes(page, at, length);
    page += length;
    at += length;
  } while (at < end);
}

/**
 * Makes `page` of `base` and a body; both may be the same page. Returns 0, or the rule that the body breaks: then
 * nothing was written. Reads no byte outside the body and the base, writes none outside the page.
 */
export function deltaDecode(body: usize, bytes: u32, base: usize, page: usize): u32 {
  readable(body, bytes);
  readable(base, PAGE);
  writable(page, PAGE);
  apart(body, bytes, page, PAGE);
  if (base != page) apart(base, PAGE, page, PAGE);
  const rule = brokenRule(body, body + bytes);
  if (rule != NO_RULE) return rule;
  if (base != page) memory.copy(page, base, PAGE);
  apply(body, body + bytes, page);
  return NO_RULE;
}
