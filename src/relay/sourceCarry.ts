import assert from "node:assert";
import { randomBytes } from "node:crypto";
import type net from "node:net";
import { PAGE_BYTES } from "../../kernels/mod.ts";
import { GodwitError, isGodwitError } from "../errors/mod.ts";
import {
  acceptBulk,
  type BulkReader,
  connectLink,
  type Link,
  type LinkHandler,
  type LinkTls,
  type ReceivedFrame,
} from "../link/mod.ts";
import { type RamBlock, type RamSection, StreamFault } from "../stream/mod.ts";
import { DataKind, decodeAgain, decodeProof } from "../wire/mod.ts";
import { splitAddress } from "./address.ts";
import type { SourceMemory } from "./engine/layout.ts";
import { makeEngine } from "./engine/make.ts";
import { Outgoing } from "./engine/outgoing.ts";
import { sendInPlace } from "./engine/records.ts";
import type { SourceEngine } from "./engine/types.ts";
import { decodeSummary, decodeTargetGreeting, encodeGreeting } from "./greeting.ts";
import type { RelayHooks, RelayOutcome } from "./hooks.ts";
import { Meter } from "./meter.ts";
import { RelayPhase } from "./phase.ts";
import { barrierAt } from "./places.ts";
import { MemoryProof } from "./proof.ts";
import { SourceReturn } from "./sourceReturn.ts";
import { SLICE_BYTES, SourceStream } from "./sourceStream.ts";
import { printable, streamError } from "./strangers.ts";
import type { RelayFigures, SourceRelayOptions } from "./types.ts";
import { beUrgent } from "./urgent.ts";

/** How long the target's last words are waited for once the source QEMU is content. */
const FAREWELL_MS = 5000;
/** While the stream is slowed: a slice of 128 KiB in so many ms, where no more than this waits for the line. */
const SLOW_SLICE_MS = 4;
const SLOW_BACKLOG_MS = 5;
const SLOW_BACKLOG_BYTES_MIN = 64 * 1024;
/** What is left of a post-copy that is given up is read for so long: what stands in the socket, and its answer. */
const SKIM_MS = 100;

/** What whoever accepts connections has to know. Each comes once at most, and never for a stranger. */
export interface SourceMoments {
  /** Its first bytes are those of a migration stream. */
  identified(): void;
  /** Post-copy may come. */
  advised(): void;
  /** The target speaks for the first time; QEMU has not been told yet. */
  answered(): void;
}

/** How each further channel of multifd begins (QEMU docs, migration/multifd). */
const MULTIFD_MAGIC = 0x11223344;

/** What only a target can say whose QEMU did not load the guest, or is gone. */
const TARGET_DOES_NOT_RUN: ReadonlySet<string> = new Set([
  "FORWARD_MISSING",
  "DIGEST_MISMATCH",
  "TARGET_LOAD_FAILED",
  "TARGET_QEMU_GONE",
]);

export interface SourceCarryContext {
  readonly options: SourceRelayOptions;
  readonly memory: SourceMemory;
  readonly hooks: RelayHooks;
  /** Of the link; {}: plain TCP. */
  readonly secure: { readonly tls?: LinkTls };
}

/**
 * One migration at the source: QEMU's connection on one side, the link on the other.
 *
 * A failure closes QEMU's connection, and its guest resumes; except once the package of a post-copy was passed on, or
 * while nobody can know whether the target runs. Then the connection is kept open, so that QEMU does nothing by itself,
 * until someone orders otherwise (`abandon`).
 */
export class SourceCarry implements LinkHandler {
  readonly outcome: Promise<RelayOutcome>;
  /** QEMU's connection is gone, by whose will ever. */
  readonly closed: Promise<void>;
  readonly meter = new Meter("source");
  readonly #context: SourceCarryContext;
  readonly #givenUp = new AbortController();
  readonly #qemu: BulkReader;
  readonly #outgoing: Outgoing;
  readonly #engine: SourceEngine;
  readonly #stream: SourceStream;
  readonly #return: SourceReturn;
  readonly #seed = { low: randomBytes(4).readUInt32LE(), high: randomBytes(4).readUInt32LE() };
  #link: Link | undefined;
  #identified = false;
  /** Slices that may be read now. */
  #slices = Number.POSITIVE_INFINITY;
  #slow: NodeJS.Timeout | undefined;
  #qemuClosed = false;
  #summaryHeard = false;
  #over = false;
  /** Post-copy has failed: QEMU's stream is only read to its end. */
  #skims = false;
  #resolve: (outcome: RelayOutcome) => void = () => {};
  readonly #moments: SourceMoments;
  #answered = false;
  /** Of this stream, by name; empty until they are known. */
  readonly #blocks = new Map<string, RamBlock>();
  /** Post-copy: what QEMU wrote behind its last page, until all pages were sent. */
  #behindPages: { readonly kind: DataKind; readonly parts: readonly Uint8Array[] }[] | undefined;
  /** Post-copy: QEMU's stream has come to its end; the target has loaded the package. */
  #whole = false;
  #packageLoaded = false;
  #calm: () => void = () => undefined;

  /**
   * @param accepted  a connection that has not been read from
   */
  constructor(accepted: net.Socket, context: SourceCarryContext, moments: SourceMoments) {
    this.#context = context;
    this.#moments = moments;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#outgoing = new Outgoing({
      send: (kind, parts, acked) => this.#send(kind, parts, acked),
      room: () => this.#readOn(),
      now: () => performance.now(),
    });
    const { memory } = context;
    this.#engine = makeEngine(context.options, {
      memory,
      outgoing: this.#outgoing,
      settle: () => proof.settle(),
      tell: (block, offset, at) => proof.told(block, offset, at),
      untell: (block, offset, oldLo, oldHi) => proof.untold(block, offset, oldLo, oldHi),
      room: () => this.#readOn(),
      colliding: context.hooks.colliding,
      link: () => this.#link?.stats,
      settled: () => this.#settledPages(),
    });
    const proof = new MemoryProof(memory.kernels, this.#seed, this.#engine.hashed);
    this.#stream = new SourceStream(
      {
        send: (kind, parts) => {
          if (this.#behindPages === undefined) sendInPlace(this.#outgoing, memory.stream, kind, parts);
          else this.#behindPages.push({ kind, parts: parts.map((part) => part.slice()) });
        },
        element: (element) => this.#return.said(element),
        barrier: (barrier) => {
          this.#return.passed(barrier);
          this.#event({ event: "barrier", barrier });
          if (barrier === "package" && this.#engine.serving) {
            this.#link?.prompt();
            this.#calm = beUrgent();
          }
          // From now on nobody can give up without losing the guest.
          if (barrier === "package") this.#link?.setReconnectFor(context.options.postcopyReconnectForMs);
        },
        ramKnown: (blocks, bytes) => {
          for (const block of blocks) this.#blocks.set(block.name, block);
          this.#return.setBlocks(blocks);
          this.#event({ event: "ram", bytes, section: this.#stream.reader.ram as RamSection });
        },
        drained: () => {
          if (this.#engine.serving) this.#behindPages = [];
        },
        whole: () => {
          if (this.#skims) return this.#return.complete();
          this.#whole = true;
          this.#completeSource();
        },
        advised: () => this.#moments.advised(),
      },
      proof,
      this.#engine,
      this.meter,
    );
    this.#return = new SourceReturn(
      {
        toQemu: (bytes, written) => {
          if (!this.#answered) this.#moments.answered();
          this.#answered = true;
          this.#qemu.socket.write(bytes, () => written());
        },
        targetLoaded: () => this.#event({ event: "targetLoaded" }),
        packageLoaded: () => {
          this.#packageLoaded = true;
          this.#engine.packageLoaded();
          this.#event({ event: "packageLoaded" });
          this.#completeSource();
        },
        pageRequest: (block, offset, bytes) => this.#request(block, offset, bytes),
      },
      context.options.withholdShut,
    );
    this.#qemu = acceptBulk(accepted, memory.stream, {
      consume: (memory, start, end) => this.#consume(memory, start, end),
    });
    this.#qemu.socket.on("end", () => this.#qemuEnded());
    this.#qemu.socket.on("error", () => this.#qemuGone());
    this.#qemu.socket.on("close", () => this.#qemuGone());
    this.closed = new Promise((resolve) => this.#qemu.socket.once("close", () => resolve()));
  }

  releaseShut(): void {
    this.#return.releaseShut();
  }

  setBandwidth(bytesPerSec: number): void {
    this.#link?.setBandwidth(bytesPerSec);
  }

  /**
   * Post-copy was ordered, and what is read now stands before all that comes later: it waits for post-copy, or else only as
   * much is read as the line carries. A slice each few ms and no more, for `ms` at most, so that QEMU does not end by itself.
   * It must not stop altogether: QEMU looks at its orders between two PART sections only, and its monitor hangs with its last
   * section or device state.
   */
  slowStream(ms: number): void {
    if (this.#over || this.#slow !== undefined || this.#stream.phase !== RelayPhase.memory) return;
    const endsAtMs = performance.now() + ms;
    this.#slices = 0;
    this.#engine.gather();
    this.#slow = setInterval(() => {
      if (this.#over || performance.now() >= endsAtMs) return this.hurryStream();
      if (this.#engine.gathers) return this.#slice();
      const { inFlightBytes = 0, deliveredBytesPerSec = 0 } = this.#link?.stats ?? {};
      const mayWait = Math.max(SLOW_BACKLOG_BYTES_MIN, (deliveredBytesPerSec * SLOW_BACKLOG_MS) / 1000);
      if (inFlightBytes + this.#outgoing.waitingBytes > mayWait) return;
      this.#slice();
    }, SLOW_SLICE_MS);
  }

  #slice(): void {
    this.#slices = 1;
    this.#readOn();
  }

  hurryStream(): void {
    clearInterval(this.#slow);
    this.#slow = undefined;
    this.#slices = Number.POSITIVE_INFINITY;
    this.#readOn();
  }

  /** The capability postcopy-ram is on. */
  get postcopyMayCome(): boolean {
    return this.#stream.advised;
  }

  /**
   * Ends the migration with this reason; QEMU's connection is closed, even when it was kept open in doubt: at once, or
   * when QEMU has come to the end of a post-copy that it is about to reach.
   */
  abandon(error: GodwitError): void {
    this.#fail(error);
    if (!this.#skims) return void this.#qemu.socket.destroy();
    setTimeout(() => this.#qemu.socket.destroy(), SKIM_MS);
  }

  // QEMU's stream

  #consume(memory: Uint8Array, start: number, end: number): number {
    if (this.#skims) return this.#skim(memory, start, end);
    if (this.#over) return end;
    if (!this.#identified) {
      if (!this.#identify(memory, start, end)) return start;
      this.#qemu.pause();
      return start;
    }
    let at = start;
    try {
      while (at < end && this.#engine.hasRoom && !this.#over && this.#slices > 0) {
        const sliceEnd = Math.min(end, at + SLICE_BYTES);
        const next = this.#stream.reader.push(memory, at, sliceEnd);
        if (next === at) break; // an element that is not whole yet; always shorter than a slice
        this.meter.streamBytes += next - at;
        at = next;
        this.#slices--;
      }
    } catch (cause) {
      this.#fail(streamError(cause));
      return end;
    } finally {
      this.#stream.settle();
    }
    if (!this.#engine.hasRoom || this.#slices <= 0) this.#qemu.pause();
    else if (this.#engine.serving && at > start) {
      // A stream that comes as fast as it is read is read 32 times before the loop turns (libuv): requests wait meanwhile.
      this.#qemu.pause();
      setImmediate(() => this.#readOn());
    }
    return at;
  }

  /** Nobody needs what QEMU sends any more. */
  #skim(memory: Uint8Array, start: number, end: number): number {
    try {
      return this.#stream.reader.push(memory, start, end);
    } catch {
      this.#qemu.socket.destroy();
      return end;
    }
  }

  /** Reads on where nothing speaks against it. Before the link is up nothing is read, and it then begins by itself. */
  #readOn(): void {
    if (this.#link !== undefined && !this.#over && this.#slices > 0 && this.#engine.hasRoom)
      this.#qemu.resume();
  }

  /** @returns whether enough has come to tell; a stranger is turned away here */
  #identify(memory: Uint8Array, start: number, end: number): boolean {
    if (end - start < 4) return false;
    const first = Buffer.from(memory.subarray(start, Math.min(end, start + 16)));
    this.#identified = true;
    if (first.readUInt32BE() === MULTIFD_MAGIC) {
      this.#fail(streamError(new StreamFault("multifd_unsupported", 0)));
      return true;
    }
    if (first.toString("latin1", 0, 4) !== "QEVM") {
      this.#fail(new GodwitError("STREAM_NOT_QEMU", { firstBytes: printable(first) }));
      return true;
    }
    this.#moments.identified();
    void this.#connect();
    return true;
  }

  async #connect(): Promise<void> {
    const { options, memory } = this.#context;
    const { host, port } = splitAddress(options.to);
    try {
      const { link, greeting } = await connectLink(
        {
          host,
          port,
          ticket: options.ticket,
          greeting: encodeGreeting({
            seed: this.#seed,
            pageCacheBytes: options.engine === "plain" ? 0 : options.pageCacheBytes,
          }),
          ...this.#context.secure,
          insecure: options.insecure,
          reconnectForMs: options.reconnectForMs,
          bandwidthBytesPerSec: options.bandwidthBytesPerSec,
          arena: memory.link,
          giveUp: this.#givenUp.signal,
        },
        this,
      );
      if (this.#over) return link.abort(new GodwitError("SOURCE_QEMU_GONE", { phase: this.#stream.phase }));
      this.#link = link;
      this.#engine.agree(decodeTargetGreeting(greeting).pageCacheBytes);
      this.#event({ event: "linkUp" });
      this.#readOn();
    } catch (error) {
      if (!isGodwitError(error)) throw error;
      this.#fail(error);
    }
  }

  #send(kind: DataKind, parts: readonly Uint8Array[], acked: () => void): boolean {
    assert(this.#link !== undefined, "the stream is read once the link is up");
    if (kind === DataKind.records || kind === DataKind.pages) this.#context.hooks.beforeRecords?.();
    return this.#link.send(kind, parts, acked);
  }

  /** Post-copy. @returns whether the pages are on their way, or will be without asking QEMU */
  #request(block: string, offset: number, bytes: number): boolean {
    this.meter.faults++;
    const known = this.#blocks.get(block);
    assert(known !== undefined, "the reader has checked the block");
    let answered = true;
    for (let at = offset; at < offset + bytes; at += PAGE_BYTES)
      answered = this.#engine.request(known, at) && answered;
    return answered;
  }

  /** The target's guest can run and every page of its is here: the source QEMU is not needed for anything any more. */
  #completeSource(): void {
    if (this.#whole && this.#packageLoaded && this.#engine.paging() !== null) this.#return.complete();
  }

  /** Every page was sent: the end of QEMU's stream may follow. */
  #settledPages(): void {
    const behind = this.#behindPages ?? [];
    this.#behindPages = undefined;
    for (const { kind, parts } of behind) this.#outgoing.send(kind, parts);
  }

  #qemuEnded(): void {
    if (this.#over) return void this.#qemu.socket.destroy();
    if (this.#return.completed) return this.#sourceDone();
    if (this.#return.shutPassed === 0) return this.#qemuContent();
    try {
      this.#stream.reader.end();
    } catch (cause) {
      if (!(cause instanceof StreamFault)) throw cause;
      return this.#fail(new GodwitError("SOURCE_QEMU_GONE", { phase: this.#stream.phase }, { cause }));
    }
    if (this.#stream.returnPath)
      return this.#fail(new GodwitError("SOURCE_QEMU_GONE", { phase: this.#stream.phase }));
    // Without a return path this is all there is: an empty frame says so.
    this.#qemuClosed = true;
    this.#engine.flush();
    this.#outgoing.send(DataKind.stream, []);
  }

  #qemuGone(): void {
    if (this.#over || this.#qemuClosed) return;
    if (this.#return.completed) return this.#sourceDone();
    this.#qemuClosed = true;
    if (this.#return.shutPassed === 0) return this.#qemuContent();
    this.#fail(new GodwitError("SOURCE_QEMU_GONE", { phase: this.#stream.phase }));
  }

  /** The source QEMU was completed by us and is done; the target need not be. */
  #sourceDone(): void {
    this.#qemuClosed = true;
    if (this.#summaryHeard) this.#complete();
  }

  /** The source QEMU has had its SHUT(0) and is done. */
  #qemuContent(): void {
    this.#qemuClosed = true;
    if (this.#summaryHeard) return this.#complete();
    setTimeout(() => this.#complete(), FAREWELL_MS).unref();
  }

  // The link

  frame(frame: ReceivedFrame): void {
    try {
      this.#received(frame);
    } catch (cause) {
      frame.release();
      this.#fail(streamError(cause));
    }
  }

  #received(frame: ReceivedFrame): void {
    const { kind, payload } = frame;
    if (kind === DataKind.returnPath) return this.#return.frame(payload, () => frame.release());
    if (kind === DataKind.verdict) this.#verdict(payload);
    else if (kind === DataKind.summary) this.#summary(payload);
    else if (kind === DataKind.again) this.#again(payload);
    else throw new GodwitError("LINK_FRAME", { rule: "kind_at_source" });
    frame.release();
  }

  #verdict(payload: Uint8Array): void {
    const proof = decodeProof(payload);
    if (typeof proof === "string") throw new GodwitError("LINK_FRAME", { rule: proof });
    const barrier = barrierAt(proof.place);
    if (barrier === undefined) throw new GodwitError("LINK_FRAME", { rule: "proof_place" });
    const equal = proof.answer === 1;
    this.meter.countVerdict(equal);
    this.#event({ event: "verdict", barrier, equal });
  }

  #again(payload: Uint8Array): void {
    const pages = decodeAgain(payload);
    if (typeof pages === "string") throw new GodwitError("LINK_FRAME", { rule: pages });
    this.#engine.again(pages);
  }

  #summary(payload: Uint8Array): void {
    this.meter.heardPeer(decodeSummary(payload));
    this.#summaryHeard = true;
    if (this.#qemuClosed) this.#complete();
  }

  drain(): void {
    this.#outgoing.drain();
  }

  connection(state: "lost" | "resumed", detail: string): void {
    this.#event({ event: state === "lost" ? "linkLost" : "linkResumed", detail });
  }

  ended(error: GodwitError | undefined): void {
    this.#letGoOfMemory();
    // A QEMU that has had its SHUT(0) is done whatever becomes of the link: it closes its connection now.
    if (error !== undefined && this.#return.shutPassed !== 0) this.#fail(error);
  }

  // The end

  #complete(): void {
    if (this.#over) return;
    this.#over = true;
    this.#qemu.socket.destroy();
    // Both QEMUs are content: whether the goodbye arrives changes nothing.
    const settle = () => this.#settle(undefined);
    if (this.#link === undefined) settle();
    else this.#link.finish().then(settle, settle);
  }

  #fail(error: GodwitError): void {
    if (this.#over) return;
    this.#over = true;
    this.#givenUp.abort();
    this.#link?.abort(error);
    const doubt = this.#doubt(error);
    if (doubt === undefined) this.#qemu.socket.destroy();
    else if (this.#stream.phase === RelayPhase.postcopy && this.#context.options.withholdShut) {
      // A source QEMU that has sent everything and is never answered can neither go on nor be told to (7.2). Completed, its
      // guest stands still until an agent says otherwise.
      this.#skims = true;
      this.#stream.skim();
      if (this.#whole) this.#return.complete();
      else this.#qemu.resume();
    }
    this.#settle(doubt ?? error);
  }

  /** What to say instead when the source's guest must not run again on this relay's own decision. */
  #doubt(cause: GodwitError): GodwitError | undefined {
    const { phase } = this.#stream;
    if (phase === RelayPhase.postcopy)
      return new GodwitError("POSTCOPY_INTERRUPTED", { why: cause.message }, { cause });
    if (this.targetMayRun && !TARGET_DOES_NOT_RUN.has(cause.code))
      return new GodwitError("SWITCHOVER_IN_DOUBT", { why: cause.message }, { cause });
    return undefined;
  }

  /**
   * The target has the package, or may have loaded the last of the device state (which nobody else can delimit) and be
   * running; one that waits for an agent's `cont` does not. Until this is so, ending the migration is always safe.
   */
  get targetMayRun(): boolean {
    const { phase } = this.#stream;
    if (phase === RelayPhase.postcopy) return true;
    return phase === RelayPhase.deviceState && !this.#context.options.withholdShut;
  }

  /** What has been measured so far. */
  figures(): RelayFigures {
    if (this.#link !== undefined) {
      const { sentBytes, receivedBytes, reconnects, inFlightBytes, deliveredBytesPerSec } = this.#link.stats;
      this.meter.wireBytes.forward = sentBytes;
      this.meter.wireBytes.backward = receivedBytes;
      this.meter.reconnects = reconnects;
      this.meter.deliveredBytesPerSec = deliveredBytesPerSec ?? null;
      this.meter.backlogBytes = inFlightBytes + this.#outgoing.waitingBytes + this.#engine.heldBytes;
    }
    this.meter.engine = this.#engine.figures();
    this.meter.paging = this.#engine.paging();
    return this.meter.figures();
  }

  /** Neither the link nor we read any of it any more. */
  #letGoOfMemory(): void {
    this.#outgoing.ended();
    this.#engine.close();
  }

  #settle(error: GodwitError | undefined): void {
    if (this.#link === undefined) this.#letGoOfMemory();
    this.#calm();
    this.#resolve({ figures: this.figures(), error });
  }

  #event(event: Parameters<RelayHooks["event"]>[0]): void {
    this.#context.hooks.event(event);
  }
}
