/** Plans that broke a rule once, each made as small as it could be. They are run before any seed. */
import { readFileSync } from "node:fs";
import type { Plan } from "./faults/plan.ts";

export interface Regression {
  /** What was wrong, in a few words. */
  readonly what: string;
  readonly plan: Plan;
}

const FILE = new URL("regressions.json", import.meta.url);

/** All of them, oldest first. */
export function regressions(): readonly Regression[] {
  return JSON.parse(readFileSync(FILE, "utf8")) as Regression[];
}
