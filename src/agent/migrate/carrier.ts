import type { WireError } from "../../errors/mod.ts";
import type { ProcessId } from "../../qemu/mod.ts";
import type { RelayFigures, RelayOrder } from "../../relay/mod.ts";

/** A relay at work for a move: our own child, or one that outlived the agent before us. */
export interface Carrier {
  /** For the record: who it is for an agent that comes after us; null: it has ended already. */
  readonly process: ProcessId | null;
  /** The newest figures; null before the first, and where nobody tells them. */
  readonly figures: RelayFigures | null;
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>;
  /** Does nothing when the relay has ended, or hears nobody. */
  order(order: RelayOrder): void;
  /** Ends the relay and waits until its process is gone. Safe to call again. */
  stop(error: WireError): Promise<void>;
}
