import { ABOUT, type ErrorCode, type Fields } from "./table.ts";

/** What crosses a process or host border: enough to build the same error on the other side. */
export interface WireError {
  readonly code: string;
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

/**
 * An expected failure: a code with its data. Match on `code`, never on the text.
 * The cause is chained, never pasted into the message. Bugs are not this: they throw AssertionError.
 */
export class GodwitError<C extends ErrorCode = ErrorCode> extends Error {
  readonly code: C;
  readonly fields: Fields[C];

  constructor(code: C, fields: Fields[C], options?: ErrorOptions) {
    super(ABOUT[code].say(fields), options);
    this.name = "GodwitError";
    this.code = code;
    this.fields = fields;
  }

  /** What the user can do about it. */
  get wayOut(): string {
    return ABOUT[this.code].wayOut;
  }

  get exitCode(): number {
    return ABOUT[this.code].exit;
  }

  toJSON(): WireError {
    return { code: this.code, fields: this.fields as Record<string, unknown>, message: this.message };
  }

  /** The error a peer sent. A code this version does not know becomes PEER_ERROR with the peer's own text. */
  static fromWire(wire: WireError): GodwitError {
    if (Object.hasOwn(ABOUT, wire.code)) return new GodwitError(wire.code as ErrorCode, wire.fields as never);
    return new GodwitError("PEER_ERROR", { code: String(wire.code), message: String(wire.message) });
  }
}

/** Whether this is an expected failure with a code; anything else is a bug and must go on. */
export function isGodwitError(error: unknown): error is GodwitError {
  return error instanceof GodwitError;
}
