import { GodwitError } from "../errors/mod.ts";

/** Microseconds of busy waiting per records frame in the source relay. For tests of the bench alone (CONTRIBUTING.md). */
export const SLOW_VARIABLE = "GODWIT_TEST_SLOW_US";
const US_MAX = 1_000_000;

/**
 * What the source relay does before each records frame when it was slowed on purpose, with the line that says so;
 * undefined when it was not. Errors: USAGE when the variable is set to something else than 1 to 1000000.
 */
export function slowedOnPurpose(
  env: NodeJS.ProcessEnv,
): { readonly warning: string; readonly spin: () => void } | undefined {
  const text = env[SLOW_VARIABLE];
  if (text === undefined || text === "") return undefined;
  const us = Number(text);
  if (!Number.isInteger(us) || us < 1 || us > US_MAX)
    throw new GodwitError("USAGE", { problem: `${SLOW_VARIABLE} is "${text}", not 1 to ${US_MAX}` });
  const spin = () => {
    const untilMs = performance.now() + us / 1000;
    while (performance.now() < untilMs);
  };
  return { warning: `SLOWED ON PURPOSE: ${SLOW_VARIABLE}=${us}, ${us} µs before each records frame`, spin };
}
