import { availableParallelism } from "node:os";
import { PAGE_BYTES } from "../../../kernels/mod.ts";
import type { Engine } from "../../pages/mod.ts";
import { Effort } from "./effort.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Packer } from "./packer.ts";

/** More than four jobs are never packed at once. */
const PROCESSORS = Math.min(4, availableParallelism());
/** How long is measured before the level is looked at again. */
const WINDOW_MS = 30;
/** A page of zeros costs about so much of one with content. */
const ZERO_SHARE = 0.1;

/** Measures what the levels are decided by, and asks `Effort`; an engine with a level of its own always has that one. */
export class Throttle {
  /** Time that hashing and encoding took on the main loop, ms. */
  encodeMs = 0;
  readonly #effort: Effort | undefined;
  readonly #fixed: number;
  readonly #outgoing: Outgoing;
  readonly #packer: Packer;
  readonly #inFlightBytes: () => number;
  readonly #now: () => number;
  /** In this window. */
  #pages = 0;
  #bodyBytes = 0;
  /** Pages of content since the start. */
  #contents = 0;
  #before: Counters;

  /** @param inFlightBytes  given to the link and not taken by the target yet */
  constructor(
    packing: Engine["packing"],
    outgoing: Outgoing,
    packer: Packer,
    inFlightBytes: () => number,
    now: () => number,
  ) {
    this.#effort = packing === "adaptive" ? new Effort(packer.jobsMax, PROCESSORS) : undefined;
    this.#fixed = typeof packing === "object" ? packing.level : 0;
    this.#outgoing = outgoing;
    this.#packer = packer;
    this.#inFlightBytes = inFlightBytes;
    this.#now = now;
    this.#before = this.#counters();
  }

  /** As `Effort.level`. */
  get level(): number {
    return this.#effort?.level ?? this.#fixed;
  }

  /** What a page of content became on the link, on average, as a part of its size; 1 before anything is known. */
  get crossedShare(): number {
    return this.#contents === 0 ? 1 : Math.min(1, this.#outgoing.sentBytes / (this.#contents * PAGE_BYTES));
  }

  /** Runs a piece of the main loop's work and counts its time. */
  encoding(work: () => void): void {
    const startedMs = this.#now();
    work();
    this.encodeMs += this.#now() - startedMs;
  }

  /** A body was finished. */
  body(bytes: number): void {
    this.#bodyBytes += bytes;
  }

  /** So many pages went through; looks at the level when it is time. */
  carried(pages: number, zeroPages: number): void {
    this.#contents += pages;
    this.#pages += pages + zeroPages * ZERO_SHARE;
    if (this.#effort === undefined || this.#now() - this.#before.atMs < WINDOW_MS) return;
    const before = this.#before;
    const now = this.#counters();
    this.#effort.window({
      elapsedMs: now.atMs - before.atMs,
      pages: this.#pages,
      bodyBytes: this.#bodyBytes,
      sentBytes: now.sentBytes - before.sentBytes,
      deliveredBytes: Math.max(0, now.deliveredBytes - before.deliveredBytes),
      linkFullMs: now.linkFullMs - before.linkFullMs,
      packWaitMs: now.packWaitMs - before.packWaitMs,
      encodeMs: now.encodeMs - before.encodeMs,
      packMs: now.packMs - before.packMs,
    });
    this.#before = now;
    this.#pages = 0;
    this.#bodyBytes = 0;
  }

  #counters(): Counters {
    const { fullMs, makingMs } = this.#outgoing.limits;
    return {
      atMs: this.#now(),
      sentBytes: this.#outgoing.sentBytes,
      deliveredBytes: this.#outgoing.sentBytes - this.#inFlightBytes(),
      linkFullMs: fullMs,
      packWaitMs: makingMs,
      encodeMs: this.encodeMs,
      packMs: this.#packer.busyMs,
    };
  }
}

interface Counters {
  readonly atMs: number;
  readonly sentBytes: number;
  readonly deliveredBytes: number;
  readonly linkFullMs: number;
  readonly packWaitMs: number;
  readonly encodeMs: number;
  readonly packMs: number;
}
