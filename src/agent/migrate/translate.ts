/** Between the words of relays, QEMU and JavaScript and those of the state machines. */
import { GodwitError, isGodwitError, type WireError } from "../../errors/mod.ts";
import type { SourceEvent, TargetEvent } from "../../migration/mod.ts";
import type { RelayEvent } from "../../relay/mod.ts";

type Common = SourceEvent & TargetEvent;

/** undefined: nothing for the machine. */
export function targetEventOf(event: RelayEvent): TargetEvent | undefined {
  if (event.event === "linkUp") return { type: "linkUp" };
  return commonEventOf(event);
}

/** undefined: nothing for the machine. */
export function sourceEventOf(event: RelayEvent): SourceEvent | undefined {
  if (event.event === "listening") return { type: "relayReady" };
  if (event.event === "linkLost" || event.event === "linkResumed") return { type: event.event };
  return commonEventOf(event);
}

function commonEventOf(event: RelayEvent): Common | undefined {
  switch (event.event) {
    case "verdict":
      return { type: "verdict", barrier: event.barrier, equal: event.equal };
    case "packageLoaded":
      return { type: "packageLoaded" };
    case "recovered":
      return { type: "recovered" };
    case "targetLoaded":
      return { type: "targetLoaded" };
    case "ended":
      return { type: "relayEnded", error: event.error };
    default:
      return undefined;
  }
}

/** Expected failures keep their code; anything else is a bug, which must not take the guest with it. */
export function wireError(error: unknown): WireError {
  if (isGodwitError(error)) return error.toJSON();
  return { code: "BUG", fields: {}, message: error instanceof Error ? error.message : String(error) };
}

export function notWritten(error: unknown): WireError {
  return new GodwitError("STATE_NOT_WRITTEN", { reason: wireError(error).message }).toJSON();
}
