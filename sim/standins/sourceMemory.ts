/** In the place of src/relay/recovery/sourceMemory.ts: the memory of a source QEMU of the world. */
import { GodwitError } from "../../src/errors/mod.ts";
import { here } from "../engine/active.ts";

export class SourceMemory {
  readonly #pid: number;

  constructor({ pid }: { readonly pid: number }) {
    this.#pid = pid;
  }

  read(block: string, offset: number, into: Uint8Array): void {
    if (here().memories.read(this.#pid, block, offset, into)) return;
    throw new GodwitError("GUEST_MEMORY_CLOSED", { pid: this.#pid, reason: "it has ended" });
  }

  close(): void {}
}
