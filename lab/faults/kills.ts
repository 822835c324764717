import type { FaultCase } from "./types.ts";

export const killCases: readonly FaultCase[] = [];
