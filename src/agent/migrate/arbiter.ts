import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { isGodwitError, type WireError } from "../../errors/mod.ts";
import type { SourceEvent, TargetPhase } from "../../migration/mod.ts";
import type { PeerClient } from "./peerClient.ts";
import type { Answer } from "./peerSchemas.ts";
import { untilHeard } from "./untilHeard.ts";

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
async function askArbiter(
  question: () => Promise<Answer>,
  log: Logger,
  over: () => boolean,
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

export interface ArbiterOptions {
  readonly peer: Pick<PeerClient, "commit" | "discard" | "word">;
  readonly id: string;
  readonly log: Logger;
  /** This agent ends. */
  readonly ends: AbortSignal;
  /** Why the move is given up. */
  readonly why: () => WireError;
  readonly tell: (event: SourceEvent) => void;
}

/** The target's agent, as the source's half of one migration sees it: who owns the guest is for it to say. */
export class Arbiter {
  readonly #options: ArbiterOptions;

  constructor(options: ArbiterOptions) {
    this.#options = options;
  }

  /** Asks until there is a decision, or nobody answered for long: `targetSays`. */
  async ask(question: "commit" | "discard" | "word"): Promise<void> {
    const { peer, id, log, ends, why, tell } = this.#options;
    const put = () => (question === "discard" ? peer.discard(id, why()) : peer[question](id));
    const answer = await askArbiter(put, log, () => ends.aborted);
    tell({ type: "targetSays", phase: undefined, ...answer });
  }

  /** Asks once, beside whatever else there is to do: `targetSays`. */
  look(): void {
    const { peer, id, tell } = this.#options;
    void peer.word(id).then(
      (answer) => tell({ type: "targetSays", ...answer }),
      () => tell({ type: "targetSays", phase: undefined }),
    );
  }

  /** Without commit it never runs; but one that has loaded everything waits for our word, with the guest's name. */
  discard(): void {
    const { peer, id, log, ends, why } = this.#options;
    void untilHeard(() => peer.discard(id, why()), log, ends);
  }
}
