/**
 * The relay as an agent's child process: options are the first message over the IPC channel, but for leave to rehearse,
 * then orders come in and events go out (types.ts). Ends when its migration has ended, or when its agent is gone.
 */
import { EXIT, GodwitError, isGodwitError } from "../errors/mod.ts";
import { collidesOnPurpose } from "./engine/colliding.ts";
import { losesBases } from "./losing.ts";
import { type REHEARSE, rehearse } from "./rehearsal.ts";
import { slowedOnPurpose } from "./slowed.ts";
import { startRelay } from "./start.ts";
import {
  NO_FIGURES,
  type RelayEvent,
  type RelayOptions,
  type RelayOrder,
  type RunningRelay,
} from "./types.ts";

let relay: RunningRelay | undefined;
const rehearsing = new AbortController();
/** The package has passed: the guest's memory is on both hosts. */
let postcopy = false;

function tell(event: RelayEvent, sent?: () => void): void {
  if (process.connected) process.send?.(event, undefined, undefined, () => sent?.());
  else sent?.();
}

async function start(options: RelayOptions): Promise<void> {
  try {
    const slowed = options.side === "source" ? slowedOnPurpose(process.env) : undefined;
    const losing = options.side === "target" ? losesBases(process.env) : undefined;
    const colliding = options.side === "source" ? collidesOnPurpose(process.env) : undefined;
    for (const hook of [slowed, losing, colliding])
      if (hook !== undefined) process.stderr.write(`${hook.warning}\n`);
    relay = await startRelay(options, {
      event: (event) => {
        const settled = ends(event);
        postcopy ||= event.event === "recovered";
        postcopy ||= (event.event === "barrier" || event.event === "verdict") && event.barrier === "package";
        tell(event, () => {
          if (settled) void leave();
        });
      },
      log: (line) => process.stderr.write(`${line}\n`),
      beforeRecords: slowed?.spin,
      loseBase: losing?.lose,
      colliding: colliding?.colliding,
    });
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    tell({ event: "ended", figures: NO_FIGURES, error: error.toJSON() }, () => process.exit(error.exitCode));
  }
}

/**
 * In doubt the source QEMU's connection must stay open until the agent decides, or QEMU itself closes it: this process
 * stays.
 */
function ends(event: RelayEvent): boolean {
  if (event.event === "letGo") return true;
  if (event.event !== "ended") return false;
  return event.error === null || GodwitError.fromWire(event.error).exitCode !== EXIT.inDoubt;
}

async function leave(): Promise<void> {
  await relay?.close(new GodwitError("INTERRUPTED", { signal: "the end of the migration" }));
  process.exit(0);
}

process.on("message", (message: RelayOptions | RelayOrder | typeof REHEARSE) => {
  if ("rehearse" in message) return void prepare();
  if (!("side" in message)) return relay?.order(message);
  rehearsing.abort();
  void start(message);
});
// An agent that was killed reads nothing any more: what is told to nobody must not end a relay that is still needed.
process.stderr.on("error", () => undefined);
// The agent stops its relays itself: a Ctrl-C meant for the agent must not tear the stream.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => void leave());
process.on("disconnect", () => void orphaned());

/** What a relay does while it waits. A rehearsal that fails spoils nothing: its code is compiled as far as it came. */
async function prepare(): Promise<void> {
  try {
    await rehearse(rehearsing.signal);
  } catch (error) {
    process.stderr.write(`the rehearsal failed: ${(error as Error).message}\n`);
  }
}

/**
 * The agent is gone. What can still be undone is undone: the source resumes. In post-copy nothing can be, and the guest
 * needs its pages: the move is carried to its end, where `ends` decides.
 */
async function orphaned(): Promise<void> {
  const reason = new GodwitError("INTERRUPTED", { signal: "the end of the agent" });
  if (postcopy) {
    relay?.order({ order: "releaseShut" });
    return relay?.retire(reason);
  }
  await relay?.close(reason);
  process.exit(0);
}
