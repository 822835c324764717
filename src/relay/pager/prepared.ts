/** A frame of pushes that was made ahead: being packed, or ready to leave. */
export interface Frame {
  /** Of its pages. */
  readonly pages: readonly number[];
  /** undefined: it is still being packed. */
  parts: readonly Uint8Array[] | undefined;
  /** Of the payload, as it will cross; an estimate until it is packed. */
  bytes: number;
  /** The guest waits for one of its pages: it leaves as soon as it can. */
  urgent: boolean;
  /** The link has it, and does not read its memory any more. */
  release: (() => void) | undefined;
}

/**
 * Frames of pushes that were made ahead, so that packing them costs the line no time. They leave in the order in which they
 * were made, as they are packed; one that the guest waits for leaves before the others.
 */
export class Prepared {
  #frames: Frame[] = [];
  readonly #byPage = new Map<number, Frame>();

  get count(): number {
    return this.#frames.length;
  }

  /** Of all that wait here. */
  get bytes(): number {
    let bytes = 0;
    for (const frame of this.#frames) bytes += frame.bytes;
    return bytes;
  }

  add(frame: Frame): void {
    this.#frames.push(frame);
    for (const page of frame.pages) this.#byPage.set(page, frame);
  }

  /** The frame that this page is in; undefined: it has left, or never was here. */
  of(page: number): Frame | undefined {
    return this.#byPage.get(page);
  }

  /** The next that can leave, taken out; undefined: there is none. */
  take(): Frame | undefined {
    return this.#takeAt(this.#frames.findIndex(({ parts }) => parts !== undefined));
  }

  /** Takes this one out. */
  takeOut(frame: Frame): void {
    this.#takeAt(this.#frames.indexOf(frame));
  }

  /** Nothing leaves any more. What is being packed is still read: whoever packs it gives it back. */
  close(): void {
    for (const { parts, release } of this.#frames) if (parts !== undefined) release?.();
    this.#frames = [];
    this.#byPage.clear();
  }

  #takeAt(at: number): Frame | undefined {
    if (at < 0) return undefined;
    const [frame] = this.#frames.splice(at, 1);
    for (const page of frame!.pages) this.#byPage.delete(page);
    return frame;
  }
}
