import { GodwitError } from "../errors/mod.ts";
import {
  type Barrier,
  decodeDiscard,
  type Element,
  PageKind,
  type RamBlock,
  type StreamHandler,
  StreamReader,
} from "../stream/mod.ts";
import { DataKind, encodeProof, PAYLOAD_BYTES_MAX, RECORDS_PREFIX_BYTES } from "../wire/mod.ts";
import type { SourceEngine } from "./engine/types.ts";
import type { Meter } from "./meter.ts";
import { RelayPhase } from "./phase.ts";
import { placeOf } from "./places.ts";
import type { MemoryProof } from "./proof.ts";

/** What the source's stream needs from around it. */
export interface SourceStreamOutlet {
  /** Sends one frame behind all before it. `parts` from the reader's own buffer must be kept until the peer has them. */
  send(kind: DataKind, parts: readonly Uint8Array[]): void;
  /** Post-copy: the source QEMU has given its last page. What comes behind it waits until all pages were sent. */
  drained(): void;
  /** Post-copy: the stream is whole, QEMU waits for SHUT. */
  whole(): void;
  barrier(barrier: Barrier): void;
  /** Before anything of it is sent. */
  element(element: Element): void;
  ramKnown(blocks: readonly RamBlock[], bytes: number): void;
  /** Post-copy may come (before any memory). */
  advised(): void;
}

/** A push of at most this many bytes gives runs of records that fit a frame without being cut. */
export const SLICE_BYTES = PAYLOAD_BYTES_MAX - RECORDS_PREFIX_BYTES;

/**
 * Turns the source QEMU's stream into frames: pages go to the engine, at barriers a `digest`, all the rest into `stream`.
 */
export class SourceStream implements StreamHandler {
  readonly reader: StreamReader;
  phase: RelayPhase = RelayPhase.setup;
  /** QEMU asked the target to open the return path: it will wait for SHUT. */
  returnPath = false;
  /** The capability postcopy-ram is on: the target was told to make ready for it. */
  advised = false;
  #blocks: readonly RamBlock[] = [];
  #skims = false;
  readonly #outlet: SourceStreamOutlet;
  readonly #proof: MemoryProof;
  readonly #engine: SourceEngine;
  readonly #meter: Meter;

  constructor(outlet: SourceStreamOutlet, proof: MemoryProof, engine: SourceEngine, meter: Meter) {
    this.#outlet = outlet;
    this.#proof = proof;
    this.#engine = engine;
    this.#meter = meter;
    this.reader = new StreamReader(this);
  }

  /** From now on only the end of the stream is looked for. */
  skim(): void {
    this.#skims = true;
  }

  /** Before the memory of what was read may be reused. */
  settle(): void {
    this.#proof.settle();
  }

  bytes(buffer: Uint8Array, start: number, end: number): void {
    if (this.#skims) return;
    this.#engine.flush();
    for (let at = start; at < end; at += PAYLOAD_BYTES_MAX) {
      this.#outlet.send(DataKind.stream, [buffer.subarray(at, Math.min(end, at + PAYLOAD_BYTES_MAX))]);
    }
  }

  page(
    block: RamBlock,
    offset: number,
    kind: PageKind,
    buffer: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (this.#skims) return;
    this.#meter.countPage(kind);
    if (this.#engine.gathers) return this.#gather(block, offset, kind, buffer.byteOffset + start);
    this.#engine.page(block, offset, kind);
    this.#proof.page(block, offset, kind, buffer, start, end);
  }

  /** The target keeps the version that it has: the digest knows nothing of this one yet. */
  #gather(block: RamBlock, offset: number, kind: PageKind, address: number): void {
    if (kind !== PageKind.page && kind !== PageKind.zero)
      throw new GodwitError("POSTCOPY_ACCOUNT", {
        problem: `page at ${offset} of ${block.name} comes encoded`,
      });
    this.#engine.gathered(block, offset, kind === PageKind.zero ? 0 : address);
  }

  records(buffer: Uint8Array, start: number, end: number, context: RamBlock | undefined): void {
    if (!this.#skims) this.#engine.records(buffer, start, end, context);
  }

  barrier(barrier: Barrier): void {
    if (this.#skims) return;
    this.#engine.barrier(barrier);
    const { pages, lo, hi } = this.#proof.total();
    const digest = encodeProof({ place: placeOf(barrier), answer: 0, pages, lo, hi });
    if (barrier === "package") {
      this.phase = RelayPhase.postcopy;
      this.#meter.postcopy = true;
    } else if (barrier === "end" && this.phase === RelayPhase.postcopy) {
      this.#outlet.drained();
    } else if (this.phase !== RelayPhase.postcopy && barrier !== "discard") {
      this.phase = RelayPhase.deviceState;
    }
    this.#outlet.send(DataKind.digest, [digest]);
    this.#outlet.barrier(barrier);
    if (barrier === "package") this.#engine.serve();
  }

  element(element: Element): void {
    if (this.#skims) return void (element.type === "eof" && this.#outlet.whole());
    this.#outlet.element(element);
    if (element.type === "ramBlocks") {
      this.#blocks = element.blocks;
      this.#proof.setBlocks(element.blocks);
      this.#engine.setBlocks(element.blocks);
      this.phase = RelayPhase.memory;
      this.#meter.ramBytes = element.totalBytes;
      this.#outlet.ramKnown(element.blocks, element.totalBytes);
    } else if (element.type === "eof") {
      if (this.phase === RelayPhase.postcopy) this.#outlet.whole();
    } else if (element.type === "transparent") {
      // Where the end of it comes cannot be seen: from here on the target may have loaded the guest.
      this.phase = RelayPhase.deviceState;
    } else if (element.type === "command" && element.name === "OPEN_RETURN_PATH") {
      this.returnPath = true;
    } else if (element.type === "command" && element.name === "POSTCOPY_RAM_DISCARD") {
      const discard = decodeDiscard(element.payload, this.#blocks);
      for (const { offset, bytes } of discard?.ranges ?? [])
        this.#engine.discarded(discard!.block, offset, bytes);
    } else if (element.type === "command" && element.name === "POSTCOPY_ADVISE") {
      this.advised = true;
      this.#outlet.advised();
    }
  }
}
