import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { isGodwitError } from "../../errors/mod.ts";
import type { TargetPhase } from "../../migration/mod.ts";
import type { Answer } from "./peerSchemas.ts";

/** How long the arbiter is asked before its answer counts as missing. */
const ASK_MS = 10_000;
const ASK_EVERY_MS = 300;

/** Phases of the target that name an owner for good; everything else may still change. */
export const DECIDED: ReadonlySet<TargetPhase> = new Set([
  "postcopy",
  "interrupted",
  "running",
  "discarded",
  "lost",
]);

/**
 * Asks the target agent until its answer is a decision or the time is over. A refusal to answer is no answer.
 * @param over  nobody waits for the answer any more
 * @returns the last that it said; undefined when it never answered
 */
export async function askArbiter(
  question: () => Promise<Answer>,
  log: Logger,
  over: () => boolean = () => false,
): Promise<Answer | undefined> {
  const until = performance.now() + ASK_MS;
  let answer: Answer | undefined;
  for (;;) {
    try {
      answer = await question();
      const { phase } = answer;
      // "loaded": a commit never got there, and waiting longer would only keep the guest stopped.
      if (DECIDED.has(phase) || phase === "loaded") return answer;
    } catch (error) {
      if (!isGodwitError(error)) throw error;
      log.warn({ err: error }, "no answer from the target agent");
    }
    if (performance.now() >= until || over()) return answer;
    await sleep(ASK_EVERY_MS);
  }
}
