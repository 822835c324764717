/**
 * What a decoder answers when a body breaks a rule; 0 is none. Read by both languages, hence without type annotations
 * (see layout.ts). Meanings and names: rules.ts.
 */
export const NO_RULE = 0;
export const DELTA_EMPTY = 1;
export const DELTA_TRUNCATED = 2;
export const DELTA_RUN_OUTSIDE_PAGE = 3;
export const SPARSE_EMPTY = 4;
export const SPARSE_TRUNCATED = 5;
export const SPARSE_WORD_OUTSIDE_PAGE = 6;
export const WKDM_LENGTH = 7;
export const WKDM_PADDING = 8;
