import { killCases } from "./kills.ts";
import type { FaultCase } from "./types.ts";

/** Every case of the matrix, in the order in which it is run. Those that share hosts stand together. */
export const CASES: readonly FaultCase[] = [...killCases];
