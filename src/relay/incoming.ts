import { GodwitError } from "../errors/mod.ts";
import type { ReceivedFrame } from "../link/mod.ts";
import { DataKind, decodePagesPrefix, PAGES_PREFIX_BYTES, PagesForm, type PagesPrefix } from "../wire/mod.ts";
import type { Unpacker } from "./unpack.ts";

/** Bodies that are unpacked ahead of their turn, or being so: a few bytes may stand for 128 KiB each. */
export const UNPACKED_AHEAD_MAX = 4;

/** One frame in its turn. */
export interface IncomingFrame {
  readonly frame: ReceivedFrame;
  /** Of a `pages` frame. */
  readonly prefix: PagesPrefix | undefined;
  /** The entries of a packed one: good until they were handled. */
  readonly unpacked: Uint8Array | undefined;
}

export interface IncomingHandler {
  /**
   * Handles the frame whose turn it is. "handled": its release is the handler's business from now on. "later": not now,
   * and nothing behind it either; `advance` tries again. "repair": the same, but frames that repair pages come before
   * it, as soon as they are here. What it throws is told to `failed`, and the frame released here.
   */
  handle(incoming: IncomingFrame): Turn;
  failed(cause: unknown): void;
}
export type Turn = "handled" | "later" | "repair";

interface Item extends IncomingFrame {
  unpacked: Uint8Array | undefined;
  state: "ready" | "packed" | "unpacking";
  /** The rule that it broke, to be named in its turn. */
  fault: string | undefined;
}

/**
 * The frames of the link, handled in the order of arrival although some have to be unpacked first, which happens in the
 * thread pool ahead of their turn. Answers to a guest that waits overtake what waits here. Frames that wait are not
 * released, so the link's window and the arena bound them.
 */
export class IncomingQueue {
  readonly #handler: IncomingHandler;
  readonly #unpacker: Unpacker;
  #items: Item[] = [];
  /** Those of them that nobody has begun to unpack. */
  #packed: Item[] = [];
  /** Unpacked or being so, and not handled. */
  #ahead = 0;
  /** Of the items: those that overtake. */
  #answers = 0;
  #advancing = false;
  #over = false;

  constructor(handler: IncomingHandler, unpacker: Unpacker) {
    this.#handler = handler;
    this.#unpacker = unpacker;
  }

  /** A frame has arrived. */
  push(frame: ReceivedFrame): void {
    if (this.#over) return frame.release();
    const item = itemOf(frame);
    this.#items.push(item);
    if (item.state === "packed") this.#packed.push(item);
    if (isAnswer(item)) this.#answers++;
    this.advance();
  }

  /** What the frame in turn waited for may be there. */
  advance(): void {
    if (this.#advancing || this.#over) return;
    this.#advancing = true;
    try {
      while (!this.#over && this.#step());
      this.#unpackAhead();
    } catch (cause) {
      this.#handler.failed(cause);
    } finally {
      this.#advancing = false;
    }
  }

  /** Nothing is handled any more; frames are released as soon as nobody reads them. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    for (const { state, frame } of this.#items) if (state !== "unpacking") frame.release();
    this.#items = [];
    this.#packed = [];
  }

  /** @returns false when nothing can be done at present */
  #step(): boolean {
    const urgent = this.#answers === 0 ? -1 : this.#items.findIndex(isAnswer);
    if (urgent > 0) return this.#turn(urgent) === "handled";
    const turn = this.#turn(0);
    if (turn !== "repair") return turn === "handled";
    const at = this.#items.findIndex(({ prefix }) => prefix?.form === PagesForm.repair);
    return at >= 0 && this.#turn(at) === "handled";
  }

  /** Out of the list first: handling it may end the queue. */
  #turn(at: number): Turn {
    const item = this.#items[at];
    if (item === undefined || item.state !== "ready") return "later";
    if (at === 0) this.#items.shift();
    else this.#items.splice(at, 1);
    let turn: Turn = "later";
    try {
      if (item.fault !== undefined) throw new GodwitError("LINK_FRAME", { rule: item.fault });
      turn = this.#handler.handle(item);
    } catch (cause) {
      item.frame.release();
      throw cause;
    }
    if (turn === "handled") {
      if (isAnswer(item)) this.#answers--;
      if (item.unpacked !== undefined) this.#done(item.unpacked);
    } else if (this.#over) item.frame.release();
    else if (at === 0) this.#items.unshift(item);
    else this.#items.splice(at, 0, item);
    return turn;
  }

  #done(unpacked: Uint8Array): void {
    this.#ahead--;
    this.#unpacker.reuse(unpacked);
  }

  #unpackAhead(): void {
    while (this.#ahead < UNPACKED_AHEAD_MAX && !this.#over) {
      const item = this.#packed.shift();
      if (item === undefined) return;
      this.#unpack(item);
    }
  }

  #unpack(item: Item): void {
    const { frame, prefix } = item;
    item.state = "unpacking";
    this.#ahead++;
    this.#unpacker.unpack(frame.payload.subarray(PAGES_PREFIX_BYTES), prefix!.bodyBytes, (result) => {
      // While a thread reads it the frame's memory must not be given back.
      if (this.#over) return frame.release();
      item.state = "ready";
      if (typeof result === "string") item.fault = result;
      else item.unpacked = result;
      this.advance();
    });
  }
}

function isAnswer({ prefix }: Item): boolean {
  return prefix?.form === PagesForm.answer;
}

function itemOf(frame: ReceivedFrame): Item {
  const item: Item = { frame, prefix: undefined, unpacked: undefined, state: "ready", fault: undefined };
  if (frame.kind !== DataKind.pages) return item;
  const prefix = decodePagesPrefix(frame.payload);
  if (typeof prefix === "string") return { ...item, fault: prefix };
  return { ...item, prefix, state: prefix.form === PagesForm.zstd ? "packed" : "ready" };
}
