/** COMMAND elements: lengths, arguments and where they may come. */
import { be32, be64, Cursor } from "./bytes.ts";
import { COMMAND_BYTES, COMMAND_NAMES, Command, PAGE_BYTES } from "./format.ts";
import type { StreamRule } from "./rules.ts";
import type { RamBlock } from "./types.ts";

/** Where in the migration the stream is. */
export const Phase = {
  /** Before the ram section was started. */
  setup: "setup",
  /** The blocks are known, passes go on. */
  precopy: "precopy",
  /** The ram section has ended, devices follow. */
  ended: "ended",
  /** After the package: the target's guest runs. */
  postcopy: "postcopy",
  postcopyEnded: "postcopyEnded",
  /** A new connection of a post-copy migration that was interrupted; before RESUME. */
  resuming: "resuming",
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

export interface CommandContext {
  readonly phase: Phase;
  /** POSTCOPY_ADVISE for RAM was seen. */
  readonly advised: boolean;
  /** undefined when they are not known (a resumed stream read by itself). */
  readonly blocks: ReadonlyMap<string, RamBlock> | undefined;
  readonly packageBytesMax: number;
}

const PHASES: ReadonlyMap<number, readonly Phase[]> = new Map([
  [Command.openReturnPath, ["setup", "precopy", "resuming"]],
  [Command.ping, ["setup", "precopy", "ended", "postcopy", "postcopyEnded", "resuming"]],
  [Command.postcopyAdvise, ["setup"]],
  [Command.postcopyRamDiscard, ["precopy"]],
  [Command.packaged, ["precopy"]],
  [Command.postcopyResume, ["resuming"]],
  [Command.recvBitmap, ["resuming"]],
  [Command.switchoverStart, ["precopy"]],
]);

/**
 * @param start  of the payload
 * @returns the first broken rule, or undefined. PACKAGED's own bytes lie behind the payload and are not looked at.
 */
export function checkCommand(
  command: number,
  buffer: Uint8Array,
  start: number,
  end: number,
  context: CommandContext,
): StreamRule | undefined {
  if (!COMMAND_NAMES.has(command)) return "command_unknown";
  const bytes = end - start;
  if (bytes !== (COMMAND_BYTES.get(command) ?? bytes)) return "command_length";
  if (command === Command.enableColo) return "colo_unsupported";
  if (command === Command.postcopyListen || command === Command.postcopyRun) return "command_outside_package";
  if (!PHASES.get(command)!.includes(context.phase)) return "command_order";
  switch (command) {
    case Command.postcopyAdvise:
      if (context.advised) return "command_order";
      if (bytes !== 0 && bytes !== 16) return "command_length";
      if (bytes === 16 && be64(buffer, start + 8) !== PAGE_BYTES) return "advise_page_size";
      return undefined;
    case Command.postcopyRamDiscard:
      return context.advised ? checkDiscard(buffer, start, end, context) : "command_order";
    case Command.packaged: {
      const packageBytes = be32(buffer, start);
      if (!context.advised) return "command_order";
      return packageBytes === 0 || packageBytes > context.packageBytesMax ? "package_length" : undefined;
    }
    case Command.recvBitmap: {
      const c = new Cursor(buffer, start, end);
      const name = c.name();
      if (c.short || c.at !== end) return "command_length";
      if (name === "") return "name_empty";
      return context.blocks === undefined || context.blocks.has(name) ? undefined : "block_unknown";
    }
    default:
      return undefined;
  }
}

function checkDiscard(
  buffer: Uint8Array,
  start: number,
  end: number,
  context: CommandContext,
): StreamRule | undefined {
  const c = new Cursor(buffer, start, end);
  const version = c.u8();
  const name = c.name();
  const closing = c.u8();
  const ranges = (end - c.at) / 16;
  if (c.short || version !== 0 || closing !== 0 || ranges < 1 || !Number.isInteger(ranges))
    return "discard_format";
  const block = context.blocks?.get(name);
  if (block === undefined) return "block_unknown";
  for (let i = 0; i < ranges; i++) {
    const from = c.u64();
    const bytes = c.u64();
    if (from % PAGE_BYTES !== 0 || bytes % PAGE_BYTES !== 0 || bytes === 0) return "discard_range";
    if (from + bytes > block.bytes) return "discard_range";
  }
  return undefined;
}
