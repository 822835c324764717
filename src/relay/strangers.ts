import { GodwitError, isGodwitError } from "../errors/mod.ts";
import { StreamFault } from "../stream/mod.ts";

/** Bytes as text for a message: what can be printed, the rest in hex. At most 16 of them. */
export function printable(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.subarray(0, 16));
  const text = head.toString("latin1");
  return /^[\x20-\x7e\r\n]*$/.test(text) ? JSON.stringify(text) : head.toString("hex");
}

/** What the stream's readers throw, as an error for people. Anything else is a bug and goes on. */
export function streamError(cause: unknown): GodwitError {
  if (isGodwitError(cause)) return cause;
  if (cause instanceof StreamFault)
    return new GodwitError(
      "STREAM_INVALID",
      { rule: cause.rule, atByte: cause.atByte, why: cause.why },
      { cause },
    );
  throw cause;
}
