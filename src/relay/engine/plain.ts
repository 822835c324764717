import { GodwitError } from "../../errors/mod.ts";
import type { RamBlock } from "../../stream/mod.ts";
import type { Outgoing } from "./outgoing.ts";
import { type RecordArena, sendRecords } from "./records.ts";
import type { SourceEngine } from "./types.ts";

/** QEMU's records leave as they came, still where they were read. */
export class PlainEngine implements SourceEngine {
  readonly heldBytes = 0;
  readonly hashed = undefined;
  readonly #outgoing: Outgoing;
  readonly #arena: RecordArena;
  #pagesInRun = 0;

  constructor(outgoing: Outgoing, arena: RecordArena) {
    this.#outgoing = outgoing;
    this.#arena = arena;
  }

  agree(): void {}

  setBlocks(): void {}

  page(): void {
    this.#pagesInRun++;
  }

  records(buffer: Uint8Array, start: number, end: number, context: RamBlock | undefined): void {
    const pages = this.#pagesInRun;
    this.#pagesInRun = 0;
    sendRecords(this.#outgoing, this.#arena, { context, pages, bytes: buffer.subarray(start, end) });
  }

  flush(): void {}

  barrier(): void {}

  readonly serving = false;

  gather(): void {}

  readonly gathers = false;

  gathered(): void {}

  serve(): void {}

  discarded(): void {}

  packageLoaded(): void {}

  request(): boolean {
    return false;
  }

  paging(): null {
    return null;
  }

  again(): never {
    throw new GodwitError("LINK_FRAME", { rule: "again_without_pages" });
  }

  get hasRoom(): boolean {
    return this.#outgoing.hasRoom(false);
  }

  figures(): null {
    return null;
  }

  close(): void {}
}
