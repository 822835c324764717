import { DELTA_EMPTY, DELTA_RUN_OUTSIDE_PAGE, DELTA_TRUNCATED } from "../ruleNumbers.ts";
import { BodyReader, groupsOf } from "./reader.ts";

interface Run {
  readonly start: number;
  /** The byte behind the last one. */
  readonly end: number;
}

/** Changed runs, those joined that one unchanged byte parts. */
function runsOf(base: Uint8Array, page: Uint8Array): Run[] {
  const runs: Run[] = [];
  for (let at = 0; at < page.length; at++) {
    if (page[at] === base[at]) continue;
    const before = runs.at(-1);
    if (before !== undefined && at - before.end <= 1) runs[runs.length - 1] = { ...before, end: at + 1 };
    else runs.push({ start: at, end: at + 1 });
  }
  return runs.length > 0 ? runs : [{ start: 0, end: 1 }];
}

/** The body, or undefined when it is longer than `outMax`. */
export function deltaEncodeTwin(base: Uint8Array, page: Uint8Array, outMax: number): Uint8Array | undefined {
  const body: number[] = [];
  let end = 0;
  for (const run of runsOf(base, page)) {
    let gap = run.start - end;
    let { start } = run;
    if (gap > 7) {
      const length = Math.min(8, run.end - start);
      body.push(128 | (gap >> 5), ((gap & 31) << 3) | (length - 1), ...page.subarray(start, start + length));
      start += length;
      gap = 0;
    }
    const length = run.end - start;
    if (length > 0) {
      body.push((gap << 4) | (Math.min(length, 16) - 1));
      if (length >= 16) body.push(...groupsOf(length - 16));
      body.push(...page.subarray(start, run.end));
    }
    end = run.end;
  }
  return body.length > outMax ? undefined : Uint8Array.from(body);
}

/** The page, or the number of the rule that the body breaks. */
export function deltaDecodeTwin(body: Uint8Array, base: Uint8Array): Uint8Array | number {
  if (body.length === 0) return DELTA_EMPTY;
  const page = Uint8Array.from(base);
  const reader = new BodyReader(body);
  let at = 0;
  while (reader.left > 0) {
    const head = reader.byte()!;
    let length: number;
    if (head >= 128) {
      const low = reader.byte();
      if (low === undefined) return DELTA_TRUNCATED;
      at += (head - 128) * 32 + (low >> 3);
      length = (low & 7) + 1;
    } else {
      at += head >> 4;
      length = (head & 15) + 1;
      if (length === 16) {
        const more = reader.groups();
        if (more === undefined) return DELTA_TRUNCATED;
        length += more;
      }
    }
    if (at + length > page.length) return DELTA_RUN_OUTSIDE_PAGE;
    const bytes = reader.bytes(length);
    if (bytes === undefined) return DELTA_TRUNCATED;
    page.set(bytes, at);
    at += length;
  }
  return page;
}
