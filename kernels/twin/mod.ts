/**
 * Every kernel once more in plain TypeScript: slow, and as close to the description of its algorithm as can be. Tests
 * compare the kernels with these; nothing else imports them.
 */
export { deltaDecodeTwin, deltaEncodeTwin } from "./delta.ts";
export { xxh3Twin } from "./hash.ts";
export { sparseDecodeTwin, sparseEncodeTwin } from "./sparse.ts";
export { wkdmDecodeTwin, wkdmEncodeTwin } from "./wkdm.ts";
export { comparePagesTwin, countZeroBytesTwin } from "./zero.ts";
