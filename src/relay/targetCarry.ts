import assert from "node:assert";
import net from "node:net";
import { GodwitError } from "../errors/mod.ts";
import { BulkWriter, type Link, type LinkHandler, type ReceivedFrame } from "../link/mod.ts";
import { type ReturnMessage, ReturnPathReader } from "../stream/mod.ts";
import {
  DataKind,
  encodeAgain,
  PAGES_PREFIX_BYTES,
  PAYLOAD_BYTES_MAX,
  PagesForm,
  type PagesPrefix,
} from "../wire/mod.ts";
import { firewallOf } from "./firewall.ts";
import { encodeSummary, type Greeting } from "./greeting.ts";
import type { RelayHooks, RelayOutcome } from "./hooks.ts";
import { type IncomingFrame, IncomingQueue, type Turn } from "./incoming.ts";
import { Meter } from "./meter.ts";
import { RelayPhase } from "./phase.ts";
import { MemoryProof } from "./proof.ts";
import { streamError } from "./strangers.ts";
import type { TargetMemory } from "./targetMemory.ts";
import { TargetStream } from "./targetStream.ts";
import type { RelayFigures, TargetRelayOptions } from "./types.ts";
import { Unpacker } from "./unpack.ts";
import { beUrgent } from "./urgent.ts";

/** PING 3 is the last thing in a post-copy package before RUN (QEMU docs, migration/postcopy). */
const PACKAGE_LOADED = 3;

export interface TargetCarryContext {
  readonly options: TargetRelayOptions;
  readonly memory: TargetMemory;
  readonly hooks: RelayHooks;
}

/**
 * One migration at the target: the link on one side, the target QEMU's socket on the other.
 * A frame is released, and so acknowledged, when QEMU's socket has taken its bytes.
 */
export class TargetCarry implements LinkHandler {
  readonly outcome: Promise<RelayOutcome>;
  readonly meter = new Meter("target");
  readonly #context: TargetCarryContext;
  readonly #link: Link;
  readonly #stream: TargetStream;
  readonly #qemu: net.Socket;
  readonly #writer: BulkWriter;
  readonly #returnPath: ReturnPathReader;
  readonly #unpacker = new Unpacker();
  readonly #incoming: IncomingQueue;
  /** The frame in turn waits for room in the output arena. */
  #outputFull = false;
  /** Bytes of a return path message that is not whole yet. */
  #carry: Buffer = Buffer.alloc(0);
  #connected = false;
  /** SHUT's status, once the target QEMU has said it. */
  #shut: number | undefined;
  #sourceEnded = false;
  #summarySent = false;
  #over = false;
  #calm: () => void = () => undefined;
  #resolve: (outcome: RelayOutcome) => void = () => {};

  constructor(greeting: Greeting, link: Link, context: TargetCarryContext) {
    this.#context = context;
    this.#link = link;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    const { kernels, store } = context.memory;
    const { resume } = context.options;
    this.#stream = new TargetStream({
      kernels,
      store: { start: store.start, bytes: Math.min(store.bytes, greeting.pageCacheBytes) },
      loseBase: context.hooks.loseBase,
      proof: new MemoryProof(kernels, greeting.seed),
      meter: this.meter,
      ramKnown: (section, bytes) => {
        if (resume === undefined) this.#returnPath.setBlocks(section.blocks);
        context.hooks.event({ event: "ram", bytes, section });
      },
      firewall: firewallOf(context.options.limits),
      resume,
    });
    if (resume !== undefined) link.setReconnectFor(context.options.postcopyReconnectForMs);
    this.#incoming = new IncomingQueue(
      {
        handle: (incoming) => this.#handle(incoming),
        failed: (cause) => this.#fail(streamError(cause)),
      },
      this.#unpacker,
    );
    this.#returnPath = new ReturnPathReader(
      {
        message: (message, buffer, start, end) => {
          this.#heard(message);
          this.#sendBack(buffer, start, end);
        },
        bytes: (buffer, start, end) => this.#sendBack(buffer, start, end),
      },
      resume && { blocks: resume.blocks },
    );
    this.#qemu = this.#connect();
    this.#writer = new BulkWriter(this.#qemu);
    context.hooks.event({ event: "linkUp" });
  }

  /** Ends the migration with this reason. */
  abandon(error: GodwitError): void {
    this.#fail(error);
  }

  figures(): RelayFigures {
    const { sentBytes, receivedBytes, reconnects } = this.#link.stats;
    this.meter.wireBytes.forward = receivedBytes;
    this.meter.wireBytes.backward = sentBytes;
    this.meter.reconnects = reconnects;
    return this.meter.figures();
  }

  // The target QEMU

  #connect(): net.Socket {
    const path = this.#context.options.forward;
    const qemu = net.connect({ path, allowHalfOpen: true });
    qemu.on("connect", () => {
      this.#connected = true;
    });
    qemu.on("data", (bytes: Buffer) => this.#fromQemu(bytes));
    qemu.on("error", (cause: NodeJS.ErrnoException) => {
      if (this.#connected) return this.#qemuGone(cause);
      this.#fail(
        new GodwitError("FORWARD_MISSING", { path, reason: cause.code ?? cause.message }, { cause }),
      );
    });
    qemu.on("end", () => this.#qemuGone(undefined));
    qemu.on("close", () => this.#qemuGone(undefined));
    return qemu;
  }

  #fromQemu(bytes: Buffer): void {
    if (this.#over) return;
    const all = this.#carry.length === 0 ? bytes : Buffer.concat([this.#carry, bytes]);
    try {
      const next = this.#returnPath.push(all, 0, all.length);
      this.#carry = all.subarray(next);
    } catch (cause) {
      return this.#fail(streamError(cause));
    }
    if (this.#shut !== undefined && this.#shut !== 0)
      this.#fail(new GodwitError("TARGET_LOAD_FAILED", { status: this.#shut }));
    else if (this.#shut === 0) this.#loaded();
  }

  #heard(message: ReturnMessage): void {
    const { hooks } = this.#context;
    if (message.type === "shut") this.#shut = message.status;
    else if (message.type === "request") {
      this.meter.faults++;
      const block = this.#returnPath.lastBlock as string;
      this.#stream.asked(block, message.offset, message.bytes, performance.now());
    } else if (message.type === "pong" && message.value === PACKAGE_LOADED)
      hooks.event({ event: "packageLoaded" });
    else if (message.type === "bitmap") this.#stream.received(message.block, message.bits);
    else if (message.type === "resumeAck")
      hooks.event({ event: "recovered", pages: this.#stream.missingPages ?? 0 });
  }

  /** Copies: what QEMU says is small, and its buffer is reused. */
  #sendBack(buffer: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end; at += PAYLOAD_BYTES_MAX) {
      const piece = buffer.subarray(at, Math.min(end, at + PAYLOAD_BYTES_MAX));
      this.#link.send(DataKind.returnPath, [new Uint8Array(piece)]);
    }
  }

  /** The target QEMU has all it needs. */
  #loaded(): void {
    if (this.#summarySent) return;
    this.#summarySent = true;
    this.#context.hooks.event({ event: "targetLoaded" });
    const summary = {
      ...this.meter.own(),
      faults: this.meter.faults,
      unpackMs: this.#unpacker.busyMs,
      decodeMs: this.#stream.decodeMs,
      faultTimes: this.#stream.faultTimes,
    };
    this.#link.send(DataKind.summary, [encodeSummary(summary)]);
    // Ends when the source has finished too; a source that gives up instead is heard by `ended`.
    this.#link.finish().catch(() => undefined);
  }

  #qemuGone(cause: NodeJS.ErrnoException | undefined): void {
    if (this.#over || this.#summarySent) return;
    // Without a return path QEMU closes when it has read everything; with bytes unread its close is a reset.
    const content = this.#sourceEnded && !this.#stream.returnPath && cause === undefined;
    if (content) return this.#loaded();
    this.#fail(new GodwitError("TARGET_QEMU_GONE", { phase: this.#stream.phase }, { cause }));
  }

  // The link

  frame(frame: ReceivedFrame): void {
    this.#incoming.push(frame);
  }

  #handle(incoming: IncomingFrame): Turn {
    const { frame } = incoming;
    const { kind, payload } = frame;
    if (incoming.prefix !== undefined) return this.#pages(incoming, incoming.prefix);
    if (this.#sourceEnded) throw new GodwitError("LINK_FRAME", { rule: "data_after_end" });
    if (kind === DataKind.records) this.#toQemu(this.#stream.recordsFrame(payload), () => frame.release());
    else if (kind === DataKind.stream) this.#streamBytes(frame);
    else if (kind === DataKind.digest) {
      // What is missing has been asked for. Behind a digest nothing leans on what was sent before it.
      if (this.#stream.lacking) return "repair";
      this.#digest(frame);
    } else throw new GodwitError("LINK_FRAME", { rule: "kind_at_target" });
    return "handled";
  }

  #streamBytes(frame: ReceivedFrame): void {
    const { payload } = frame;
    if (payload.length > 0) return this.#toQemu(this.#stream.streamFrame(payload), () => frame.release());
    this.#stream.end();
    this.#sourceEnded = true;
    this.#writer.end();
    frame.release();
  }

  #digest(frame: ReceivedFrame): void {
    const { barrier, verdict, mismatch } = this.#stream.digestFrame(frame.payload);
    this.#link.send(DataKind.verdict, [verdict]);
    this.#context.hooks.event({ event: "verdict", barrier, equal: mismatch === undefined });
    if (mismatch !== undefined) throw mismatch;
    // From now on nobody can give up without losing the guest.
    if (barrier === "package") {
      this.#link.setReconnectFor(this.#context.options.postcopyReconnectForMs);
      this.#calm = beUrgent();
    }
    frame.release();
  }

  #pages({ frame, unpacked }: IncomingFrame, prefix: PagesPrefix): Turn {
    const repair = prefix.form === PagesForm.repair;
    if (this.#sourceEnded && !repair) throw new GodwitError("LINK_FRAME", { rule: "data_after_end" });
    // It has overtaken others: only there they do not lean on each other.
    if (prefix.form === PagesForm.answer && this.#stream.phase !== RelayPhase.postcopy)
      throw new GodwitError("LINK_FRAME", { rule: "answer_before_package" });
    const { outputArena } = this.#context.memory;
    const outAt = outputArena.take();
    if (outAt === undefined) {
      this.#awaitOutput();
      return "later";
    }
    try {
      const { entries, bodyBytes: bytes } = prefix;
      const body = { at: this.#bodyAt(frame, unpacked), bytes, entries, repair };
      const records = this.#stream.pagesFrame(body, outAt);
      const again = this.#stream.takeMissing();
      if (again.length > 0) this.#link.send(DataKind.again, [encodeAgain(again)]);
      this.#toQemu(records, () => {
        frame.release();
        outputArena.release(outAt);
      });
    } catch (cause) {
      outputArena.release(outAt);
      throw cause;
    }
    return "handled";
  }

  /** Where the entries lie in the kernels' memory: where the link read them, or a copy until they are decoded. */
  #bodyAt(frame: ReceivedFrame, unpacked: Uint8Array | undefined): number {
    const { kernels, bodyAt } = this.#context.memory;
    if (unpacked === undefined) {
      assert(frame.payload.buffer === kernels.bytes.buffer, "the link reads into the kernels' memory");
      return frame.payload.byteOffset + PAGES_PREFIX_BYTES;
    }
    kernels.bytes.set(unpacked, bodyAt);
    return bodyAt;
  }

  #awaitOutput(): void {
    if (this.#outputFull) return;
    this.#outputFull = true;
    this.#context.memory.outputArena.whenFree(() => {
      this.#outputFull = false;
      this.#incoming.advance();
    });
  }

  /** @param taken  QEMU's socket has the bytes, or is gone: their memory is not read any more */
  #toQemu(parts: readonly Uint8Array[], taken: () => void): void {
    if (parts.length === 0) return taken();
    for (const part of parts) this.meter.streamBytes += part.length;
    const given = this.#stream.takeGiven();
    if (given.length === 0) return this.#writer.write(parts, taken);
    this.#writer.write(parts, () => {
      this.#stream.given(given, performance.now());
      taken();
    });
  }

  drain(): void {}

  connection(state: "lost" | "resumed", detail: string): void {
    this.#context.hooks.event({ event: state === "lost" ? "linkLost" : "linkResumed", detail });
  }

  ended(error: GodwitError | undefined): void {
    if (error !== undefined) return this.#fail(error);
    this.#settle(undefined);
  }

  // The end

  #fail(error: GodwitError): void {
    if (this.#over) return;
    this.#link.abort(error);
    this.#settle(this.#doubt(error) ?? error);
  }

  /** What to say instead when the target's guest runs, or may run, without the source having been told. */
  #doubt(cause: GodwitError): GodwitError | undefined {
    if (this.#stream.phase === RelayPhase.postcopy)
      return new GodwitError("POSTCOPY_INTERRUPTED", { why: cause.message }, { cause });
    if (this.targetMayRun && (cause.code === "LINK_LOST" || cause.code === "INTERRUPTED"))
      return new GodwitError("SWITCHOVER_IN_DOUBT", { why: cause.message }, { cause });
    return undefined;
  }

  /** The target QEMU has the package, or may have all of the device state: it may run already, or soon. */
  get targetMayRun(): boolean {
    return this.#stream.phase === RelayPhase.postcopy || this.#stream.phase === RelayPhase.deviceState;
  }

  #settle(error: GodwitError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#incoming.end();
    this.#unpacker.close();
    const figures = this.figures();
    // A failed target must not take a cut stream for a whole one: closing makes QEMU give up.
    this.#qemu.destroy();
    this.#calm();
    this.#resolve({ figures, error });
  }
}
