import assertStrict from "node:assert/strict";

/** A bug when false. Stays on in production. */
export const assert: (value: unknown, message: string) => asserts value = assertStrict.ok;
