import * as numbers from "./ruleNumbers.ts";

/** The rules of encoded bodies by name, for messages and logs. Formats: docs/encodings.md. */
const NAMES = {
  /** A body of no bytes. */
  [numbers.DELTA_EMPTY]: "delta_empty",
  /** The body ends within a head or within the bytes of a run. */
  [numbers.DELTA_TRUNCATED]: "delta_truncated",
  /** A run ends beyond byte 4096. */
  [numbers.DELTA_RUN_OUTSIDE_PAGE]: "delta_run_outside_page",
  /** A body of no bytes. */
  [numbers.SPARSE_EMPTY]: "sparse_empty",
  /** The body ends within a head or within a value. */
  [numbers.SPARSE_TRUNCATED]: "sparse_truncated",
  /** A word's place is beyond 1023. */
  [numbers.SPARSE_WORD_OUTSIDE_PAGE]: "sparse_word_outside_page",
  /** The body is not exactly as long as its tags say. */
  [numbers.WKDM_LENGTH]: "wkdm_length",
  /** A bit that fills up the last byte of a stream is set. */
  [numbers.WKDM_PADDING]: "wkdm_padding",
} as const;

/** The name of a rule that a body can break. */
export type KernelRule = (typeof NAMES)[keyof typeof NAMES];

/**
 * The name of the rule that a decoder answered.
 * @param rule  what `deltaDecode`, `sparseDecode` or `wkdmDecode` returned
 * @returns undefined for 0, the page was written
 * @throws RangeError for a number that no decoder gives
 */
export function kernelRule(rule: number): KernelRule | undefined {
  if (rule === numbers.NO_RULE) return undefined;
  const name = (NAMES as { readonly [rule: number]: KernelRule })[rule];
  if (name === undefined) throw new RangeError(`${rule} is the number of no rule`);
  return name;
}
