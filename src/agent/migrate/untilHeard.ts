import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { GodwitError } from "../../errors/mod.ts";

const AGAIN_MS = 5_000;
/** Who is away for longer has to be told by hand. */
const GIVE_UP_MS = 3_600_000;

/** Says something to another agent until it has been heard, or refused; never rejects. */
export async function untilHeard(
  say: () => Promise<unknown>,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const until = performance.now() + GIVE_UP_MS;
  while (!signal.aborted) {
    try {
      await say();
      return;
    } catch (error) {
      log.info({ err: error }, "the target was not told to discard");
      const away = error instanceof GodwitError && error.code === "PEER_UNREACHABLE";
      if (!away || performance.now() >= until) return;
    }
    await sleep(AGAIN_MS, undefined, { ref: false, signal }).catch(() => undefined);
  }
}
