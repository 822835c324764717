import net from "node:net";
import type { PageKernels } from "../../kernels/mod.ts";
import { GodwitError } from "../errors/mod.ts";
import { BulkWriter, type Link, type LinkHandler, type ReceivedFrame } from "../link/mod.ts";
import { ReturnPathReader } from "../stream/mod.ts";
import { DataKind, PAYLOAD_BYTES_MAX } from "../wire/mod.ts";
import { encodeSummary, type Greeting } from "./greeting.ts";
import type { RelayHooks, RelayOutcome } from "./hooks.ts";
import { Meter } from "./meter.ts";
import { RelayPhase } from "./phase.ts";
import { MemoryProof } from "./proof.ts";
import { streamError } from "./strangers.ts";
import { TargetStream } from "./targetStream.ts";
import type { RelayFigures, TargetRelayOptions } from "./types.ts";

/** PING 3 is the last thing in a post-copy package before RUN (QEMU docs, migration/postcopy). */
const PACKAGE_LOADED = 3;

export interface TargetCarryContext {
  readonly options: TargetRelayOptions;
  readonly kernels: PageKernels;
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
  /** Bytes of a return path message that is not whole yet. */
  #carry: Buffer = Buffer.alloc(0);
  #connected = false;
  /** SHUT's status, once the target QEMU has said it. */
  #shut: number | undefined;
  #sourceEnded = false;
  #summarySent = false;
  #over = false;
  #resolve: (outcome: RelayOutcome) => void = () => {};

  constructor(greeting: Greeting, link: Link, context: TargetCarryContext) {
    this.#context = context;
    this.#link = link;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#stream = new TargetStream(
      new MemoryProof(context.kernels, greeting.seed),
      this.meter,
      (blocks, bytes) => {
        this.#returnPath.setBlocks(blocks);
        context.hooks.event({ event: "ram", bytes });
      },
    );
    this.#returnPath = new ReturnPathReader({
      message: (message, buffer, start, end) => {
        if (message.type === "shut") this.#shut = message.status;
        else if (message.type === "request") this.meter.faults++;
        else if (message.type === "pong" && message.value === PACKAGE_LOADED)
          context.hooks.event({ event: "packageLoaded" });
        this.#sendBack(buffer, start, end);
      },
      bytes: (buffer, start, end) => this.#sendBack(buffer, start, end),
    });
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
    this.#link.send(DataKind.summary, [
      encodeSummary({ ...this.meter.own(), faults: this.meter.faults, unpackMs: 0, decodeMs: 0 }),
    ]);
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
    if (this.#over) return frame.release();
    try {
      this.#received(frame);
    } catch (cause) {
      frame.release();
      this.#fail(streamError(cause));
    }
  }

  #received(frame: ReceivedFrame): void {
    const { kind, payload } = frame;
    if (this.#sourceEnded) throw new GodwitError("LINK_FRAME", { rule: "data_after_end" });
    if (kind === DataKind.records) return this.#toQemu(this.#stream.recordsFrame(payload), frame);
    if (kind === DataKind.stream) {
      if (payload.length > 0) return this.#toQemu(this.#stream.streamFrame(payload), frame);
      this.#stream.end();
      this.#sourceEnded = true;
      this.#writer.end();
      return frame.release();
    }
    if (kind !== DataKind.digest) throw new GodwitError("LINK_FRAME", { rule: "kind_at_target" });
    const { barrier, verdict, mismatch } = this.#stream.digestFrame(payload);
    this.#link.send(DataKind.verdict, [verdict]);
    this.#context.hooks.event({ event: "verdict", barrier, equal: mismatch === undefined });
    if (mismatch !== undefined) throw mismatch;
    frame.release();
  }

  #toQemu(parts: readonly Uint8Array[], frame: ReceivedFrame): void {
    if (parts.length === 0) return frame.release();
    for (const part of parts) this.meter.streamBytes += part.length;
    this.#writer.write(parts, () => frame.release());
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
    const figures = this.figures();
    // A failed target must not take a cut stream for a whole one: closing makes QEMU give up.
    this.#qemu.destroy();
    this.#resolve({ figures, error });
  }
}
