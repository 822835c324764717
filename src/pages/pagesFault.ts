import type { KernelRule } from "../../kernels/rules.ts";

/** What the entries of a `pages` frame can break, by name; bodies have rules of their own (docs/encodings.md). */
export const ENTRY_RULES = {
  entry_truncated: "the entries end within one",
  entry_form: "a head names no form, or has a bit set that means nothing",
  entry_next_first: "the first entry has no page before it that its own could be next to",
  entry_number: "a number does not end, or is no u32",
  entry_page: "a page lies outside the announced blocks",
  entry_run: "a run of zero pages is empty or leaves its block",
  entry_body_empty: "a body has no bytes",
  entry_repair: "a repair carries its pages as they are",
  entries_left_over: "bytes follow the last entry",
  entries_output: "the entries stand for more bytes than one frame may",
} as const;
export type EntryRule = keyof typeof ENTRY_RULES;

/** A named rule that the entries of a `pages` frame broke. What was decoded of the frame must not be used. */
export class PagesFault extends Error {
  readonly rule: EntryRule | KernelRule;

  constructor(rule: EntryRule | KernelRule) {
    super(`the entries break the rule ${rule}`);
    this.name = "PagesFault";
    this.rule = rule;
  }
}
