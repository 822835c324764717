import type { GodwitError } from "../errors/mod.ts";
import type { Colliding } from "./engine/colliding.ts";
import type { RelayEvent, RelayFigures } from "./types.ts";

/** Whoever runs a relay: a command line or an agent. */
export interface RelayHooks {
  event(event: RelayEvent): void;
  /** One line for people. */
  log(line: string): void;
  /** Test hook: runs at the source before each records or pages frame. */
  readonly beforeRecords?: (() => void) | undefined;
  /** Test hook: hashes of pages that collide at the source. */
  readonly colliding?: Colliding | undefined;
  /** Test hook: whether the target acts as if a base that it has were missing. */
  readonly loseBase?: (() => boolean) | undefined;
}

/** How one carried migration ended. `error` is undefined when it completed. */
export interface RelayOutcome {
  readonly figures: RelayFigures;
  readonly error: GodwitError | undefined;
}
