import assert from "node:assert";
import type { DataKind } from "../wire/mod.ts";
import type { ReceivedFrame } from "./types.ts";

/** A delivered frame; `release` counts. */
export class Received implements ReceivedFrame {
  readonly kind: DataKind;
  readonly payload: Uint8Array;
  #release: (() => void) | undefined;

  constructor(kind: DataKind, payload: Uint8Array, release: () => void) {
    this.kind = kind;
    this.payload = payload;
    this.#release = release;
  }

  release(): void {
    const release = this.#release;
    assert(release !== undefined, "a frame is released once");
    this.#release = undefined;
    release();
  }
}
