import type { WireError } from "../errors/mod.ts";
import type { Identity } from "./identity.ts";

/** A peer, or one who posed as one, that was turned away before it could order anything. */
export interface Refused {
  /** What it wanted: "link", "peer API", "API". */
  readonly what: string;
  /** null: it showed no certificate that could be believed. */
  readonly identity: Identity | null;
  /** HOST or HOST:PORT that it came from; null where that is not known. */
  readonly address: string | null;
  readonly error: WireError;
}

/** Told of each refusal. It must not throw, and must bear to be called often: whoever knocks decides how often. */
export type OnRefused = (refused: Refused) => void;
