import { GodwitError } from "../errors/mod.ts";

/** Every how many bases the target relay treats one as missing. For tests alone (CONTRIBUTING.md). */
export const LOSE_VARIABLE = "GODWIT_TEST_LOSE_BASE";
const EVERY_MAX = 1_000_000;

/**
 * Which bases the target relay was told to lose, with the line that says so; undefined when none. The source must be
 * asked for their pages again. Errors: USAGE when the variable is set to something else than 1 to 1000000.
 */
export function losesBases(
  env: NodeJS.ProcessEnv,
): { readonly warning: string; readonly lose: () => boolean } | undefined {
  const text = env[LOSE_VARIABLE];
  if (text === undefined || text === "") return undefined;
  const every = Number(text);
  if (!Number.isInteger(every) || every < 1 || every > EVERY_MAX)
    throw new GodwitError("USAGE", { problem: `${LOSE_VARIABLE} is "${text}", not 1 to ${EVERY_MAX}` });
  let bases = 0;
  const lose = () => ++bases % every === 0;
  return { warning: `LOSES BASES ON PURPOSE: ${LOSE_VARIABLE}=${every}, one in ${every} is missing`, lose };
}
