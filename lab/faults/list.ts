import { cutCases } from "./cuts.ts";
import { killCases } from "./kills.ts";
import { postcopyCases } from "./postcopy.ts";
import { resourceCases } from "./resources.ts";
import { stockCutCases, stockPostcopyCases } from "./stock.ts";
import type { FaultCase } from "./types.ts";

/** Every case of the matrix, in the order in which it is run. Those that share hosts stand together. */
export const CASES: readonly FaultCase[] = [
  ...killCases,
  ...resourceCases,
  ...cutCases,
  ...postcopyCases,
  ...stockCutCases,
  ...stockPostcopyCases,
];
