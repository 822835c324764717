import type { Arena } from "../../link/mod.ts";
import type { RamBlock } from "../../stream/mod.ts";
import { DataKind, encodeRecordsPrefix } from "../../wire/mod.ts";
import type { Outgoing } from "./outgoing.ts";

/** Where QEMU's stream was read: what is sent from there is held until the target has it. */
export type RecordArena = Pick<Arena, "memory" | "hold" | "release">;

/** One frame of records in QEMU's own format, in place. */
export function sendRecords(
  outgoing: Outgoing,
  arena: RecordArena,
  run: { readonly context: RamBlock | undefined; readonly pages: number; readonly bytes: Uint8Array },
): void {
  const prefix = encodeRecordsPrefix({ context: run.context?.index, pages: run.pages });
  sendInPlace(outgoing, arena, DataKind.records, [prefix, run.bytes]);
}

/** A frame whose last part may lie in the arena: then it is held there until the target has it. */
export function sendInPlace(
  outgoing: Outgoing,
  arena: RecordArena,
  kind: DataKind,
  parts: readonly Uint8Array[],
): void {
  const body = parts[parts.length - 1];
  if (body === undefined || body.buffer !== arena.memory.buffer) return outgoing.send(kind, parts);
  const at = body.byteOffset - arena.memory.byteOffset;
  arena.hold(at);
  outgoing.send(kind, parts, () => arena.release(at));
}
