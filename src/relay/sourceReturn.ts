import { GodwitError } from "../errors/mod.ts";
import {
  type Barrier,
  type Element,
  encodeReturnMessage,
  type RamBlock,
  type ReturnMessage,
  ReturnPathReader,
  ReturnRules,
  StreamFault,
  type StreamRule,
} from "../stream/mod.ts";

/** PING 3 is the last thing in a post-copy package before RUN (QEMU docs, migration/postcopy). */
const PACKAGE_LOADED = 3;

export interface SourceReturnOutlet {
  /** Bytes for the source QEMU; `written` when its socket has taken them. */
  toQemu(bytes: Uint8Array, written: () => void): void;
  targetLoaded(): void;
  packageLoaded(): void;
  /** Post-copy: the target's guest waits for these pages. @returns whether that is seen to: QEMU need not be asked */
  pageRequest(block: string, offset: number, bytes: number): boolean;
}

/**
 * The return path at the source: everything passes that answers what QEMU has said (`said`, `passed`), but SHUT may be kept back, and requests may be answered here. Until QEMU
 * gets SHUT(0) its guest can be resumed; after it, never by itself.
 */
export class SourceReturn {
  readonly #outlet: SourceReturnOutlet;
  readonly #reader: ReturnPathReader;
  readonly #rules = new ReturnRules();
  #withhold: boolean;
  #heldShut: Uint8Array | undefined;
  #shutStatus: number | undefined;
  #out: Uint8Array[] = [];
  /** SHUT(0) was said by us: the rest of the return path is not QEMU's business. */
  #completed = false;

  constructor(outlet: SourceReturnOutlet, withhold: boolean) {
    this.#outlet = outlet;
    this.#withhold = withhold;
    this.#reader = new ReturnPathReader({
      message: (message, buffer, start, end) => {
        this.#judged(this.#rules.judge(message));
        this.#message(message, buffer.subarray(start, end));
      },
      bitmap: (block) => this.#judged(this.#rules.judgeBitmap(block)),
      bytes: (buffer, start, end) => {
        if (!this.#completed) this.#out.push(buffer.subarray(start, end));
      },
    });
  }

  /** The status of the target's SHUT, passed on to QEMU. */
  get shutPassed(): number | undefined {
    return this.#heldShut === undefined && !this.#completed ? this.#shutStatus : undefined;
  }

  /** The target has said SHUT(0), passed on or not. */
  get targetHasLoaded(): boolean {
    return this.#shutStatus === 0;
  }

  /** An element of QEMU's stream, before the target has it. */
  said(element: Element): void {
    this.#rules.said(element);
  }

  /** A place of QEMU's stream, before the target has what is behind it. */
  passed(barrier: Barrier): void {
    this.#rules.passed(barrier);
  }

  /** From now on what the peer asks for is checked against them. */
  setBlocks(blocks: readonly RamBlock[]): void {
    this.#reader.setBlocks(blocks);
  }

  /**
   * One `returnPath` frame: whole messages, or a piece of a bitmap.
   * @throws StreamFault, GodwitError LINK_FRAME when the peer's bytes break a rule; nothing of the frame was passed on then
   */
  frame(payload: Uint8Array, release: () => void): void {
    this.#out = [];
    const end = this.#reader.push(payload, 0, payload.length);
    if (end !== payload.length) throw new GodwitError("LINK_FRAME", { rule: "return_path_split" });
    if (this.#out.length === 0) return release();
    const last = this.#out.length - 1;
    for (const [i, bytes] of this.#out.entries()) this.#outlet.toQemu(bytes, i === last ? release : nothing);
  }

  /** The source QEMU was told that all is well, although the target has not said so. */
  get completed(): boolean {
    return this.#completed;
  }

  /**
   * Tells the source QEMU that all is well: what it has is here, so it never starts its guest again by itself (10.0 would,
   * when it loses the return path).
   */
  complete(): void {
    if (this.#completed || this.#shutStatus !== undefined) return;
    this.#completed = true;
    this.#outlet.toQemu(encodeReturnMessage({ type: "shut", status: 0 }), nothing);
  }

  /** Gives QEMU the SHUT that was kept back; later ones pass at once. */
  releaseShut(): void {
    this.#withhold = false;
    const shut = this.#heldShut;
    if (shut === undefined) return;
    this.#heldShut = undefined;
    this.#outlet.toQemu(shut, nothing);
  }

  #judged(rule: StreamRule | undefined): void {
    if (rule !== undefined) throw new StreamFault(rule, this.#reader.consumedBytes);
  }

  #message(message: ReturnMessage, bytes: Uint8Array): void {
    if (message.type === "shut") {
      this.#shutStatus = message.status;
      // Only a good SHUT is final for the source; a bad one makes it resume, which nobody has to agree to.
      if (message.status === 0) this.#outlet.targetLoaded();
      if (this.#completed) return;
      if (message.status === 0 && this.#withhold) {
        this.#heldShut = bytes.slice();
        return;
      }
    } else if (message.type === "pong" && message.value === PACKAGE_LOADED) {
      this.#outlet.packageLoaded();
    } else if (message.type === "request") {
      const { offset, bytes: wantedBytes } = message;
      const block = this.#reader.lastBlock as string;
      if (this.#outlet.pageRequest(block, offset, wantedBytes) || this.#completed) return;
      // With its block: the one before may not have been passed on.
      this.#out.push(encodeReturnMessage({ type: "request", block, offset, bytes: wantedBytes }));
      return;
    }
    if (!this.#completed) this.#out.push(bytes);
  }
}

function nothing(): void {}
