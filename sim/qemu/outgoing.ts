/** A migration out of a QEMU: passes, switchover, post-copy, and what becomes of the guest when it fails. */
import {
  Command,
  concat,
  encodeAdvise,
  encodeBlockList,
  encodeCommand,
  encodeConfiguration,
  encodeDiscard,
  encodeEof,
  encodeEos,
  encodeHeader,
  encodePackaged,
  encodePing,
  encodeRecord,
  encodeSectionStart,
  endHeader,
  footer,
  PageKind,
  partHeader,
  partTrailer,
  type RamBlock,
  type ReturnMessage,
  ReturnPathReader,
} from "../../src/stream/mod.ts";
import { DEVICE_TAIL, MACHINE, PACKAGE, SECTION_ID } from "./device.ts";
import { Line, Torn } from "./lines.ts";
import type { Machine } from "./machine.ts";
import { PAGE_BYTES, samePage, ZEROS } from "./memory.ts";

/** Pages in one PART section, at most. */
const PART_PAGES = 6;
/** Between two passes. */
const PASS_MS = 1.5;
/** From the loss of a connection until QEMU has drawn its conclusions. */
const CONCLUDE_MS = 3;
const OVER: ReadonlySet<string> = new Set(["none", "completed", "failed", "cancelled"]);

export class Outgoing {
  readonly #qemu: Machine;
  status = "setup";
  #error: string | undefined;
  #line: Line | undefined;
  #dirty = new Set<number>();
  #pass = 1;
  #postcopyWanted = false;
  /** The thread sends what is missing at the target. */
  #inPostcopy = false;
  #endWritten = false;
  /** The guest ran when the migration stopped it: a failure starts it again. */
  #ranBefore = false;
  #stoppedIt = false;
  #cancelled = false;
  #previous: RamBlock | undefined;
  #urgent: number[] = [];
  #carry: Buffer = Buffer.alloc(0);
  #shut: number | undefined;
  #ended = Promise.withResolvers<void>();
  readonly #returnPath: ReturnPathReader;
  #sentBytes = 0;
  #sinceMs: number;

  constructor(qemu: Machine, path: string) {
    this.#qemu = qemu;
    this.#sinceMs = qemu.simulation.nowMs;
    this.#returnPath = new ReturnPathReader(
      { message: (message) => this.#answered(message), bytes: () => undefined },
      { blocks: qemu.memory.blocks },
    );
    this.#tell("setup");
    void this.#run(path);
  }

  get live(): boolean {
    return !OVER.has(this.status);
  }

  /** 7.2 that has lost its connection behind the END: it can neither be continued nor cancelled, by anybody. */
  get stuck(): boolean {
    return this.#inPostcopy && this.#endWritten && !this.#qemu.modern && this.#shut === undefined;
  }

  info(): object {
    const { memory } = this.#qemu;
    if (this.status === "setup") return { status: this.status };
    const left = this.#dirty.size + (this.#qemu.dirty?.size ?? 0);
    return {
      status: this.status,
      ...(this.#error !== undefined && { "error-desc": this.#error }),
      ram: {
        remaining: left * PAGE_BYTES,
        total: memory.count * PAGE_BYTES,
        transferred: this.#sentBytes,
        "dirty-pages-rate": 10,
        "page-size": PAGE_BYTES,
        "dirty-sync-count": this.#pass,
      },
      "expected-downtime": 30,
    };
  }

  startPostcopy(): void {
    this.#postcopyWanted = true;
  }

  /** @returns false when QEMU refuses */
  cancel(): boolean {
    if (!this.live) return true;
    if (this.#inPostcopy || this.status.startsWith("postcopy")) {
      if (this.#qemu.modern) return false;
      // 7.2 obeys, and the guest stays where it is; after the END it hangs in "cancelling".
      this.#cancelled = true;
      this.#tell("cancelling");
      if (!this.#endWritten) this.#line?.close();
      if (!this.#endWritten) this.#ended.resolve();
      return true;
    }
    this.#cancelled = true;
    this.#tell("cancelling");
    this.#line?.close();
    this.#ended.resolve();
    return true;
  }

  yank(): void {
    this.#line?.close();
    this.#ended.resolve();
  }

  #tell(status: string): void {
    if (status === this.status && status !== "setup") return;
    this.status = status;
    this.#qemu.simulation.trace(`migration ${status}`);
    this.#qemu.emit("MIGRATION", { status });
  }

  async #run(path: string): Promise<void> {
    const qemu = this.#qemu;
    const hanging: (() => void)[] = [];
    try {
      const socket = await Line.connect(path);
      this.#line = new Line(
        socket,
        (bytes) => this.#heard(bytes),
        () => this.#ended.resolve(),
      );
      if (this.#cancelled) throw new Torn();
      await this.#setUp();
      await this.#passes(hanging);
      await this.#ended.promise;
    } catch (error) {
      if (!(error instanceof Torn) && (error as { code?: string }).code === undefined) throw error;
      this.#error = "the connection was lost";
    }
    // Unread bytes make a close a reset; QEMU shuts down first.
    this.#line?.close();
    await this.#sleep(CONCLUDE_MS * qemu.random.float());
    this.#conclude();
    for (const release of hanging) release();
  }

  /** What becomes of the guest. */
  #conclude(): void {
    const qemu = this.#qemu;
    qemu.dirty = undefined;
    if (this.#shut === 0) {
      qemu.stop("postmigrate");
      return this.#tell("completed");
    }
    if (this.#inPostcopy) {
      if (!this.#endWritten) return this.#tell(this.#cancelled ? "cancelled" : "postcopy-paused");
      // 7.2 waits for a SHUT that cannot come any more: neither resumed nor cancelled.
      if (!qemu.modern) return;
    }
    if (this.#stoppedIt) {
      if (this.#ranBefore) qemu.run();
      else qemu.state = "paused";
    }
    this.#tell(this.#cancelled ? "cancelled" : "failed");
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#sentBytes += bytes.length;
    await this.#line!.write(bytes);
  }

  async #setUp(): Promise<void> {
    const { memory, capabilities } = this.#qemu;
    const advised = capabilities.has("postcopy-ram");
    const section = { id: SECTION_ID, name: "ram", instance: 0, version: 4 };
    await this.#write(
      concat([
        encodeHeader(),
        encodeConfiguration(MACHINE),
        ...(capabilities.has("return-path") ? [encodeCommand(Command.openReturnPath), encodePing(1)] : []),
        ...(advised ? [encodeAdvise()] : []),
        encodeSectionStart(section),
        encodeBlockList(memory.blocks),
        encodeEos(),
        footer(SECTION_ID),
      ]),
    );
    for (let page = 0; page < memory.count; page++) this.#dirty.add(page);
    this.#qemu.settleWrites();
    this.#qemu.dirty = new Set();
    this.#qemu.emit("MIGRATION_PASS", { pass: 1 });
    this.#tell("active");
  }

  async #passes(hanging: (() => void)[]): Promise<void> {
    const qemu = this.#qemu;
    for (;;) {
      while (this.#dirty.size > 0) {
        if (this.#postcopyWanted && !this.#nearlyDone) return this.#postcopy(hanging);
        await this.#write(this.#part(this.#take(PART_PAGES)));
        await this.#sleep(0.2 * qemu.random.float());
      }
      await this.#sleep(PASS_MS * qemu.random.float());
      this.#sync();
      if (this.#nearlyDone) break;
      this.#pass++;
      qemu.emit("MIGRATION_PASS", { pass: this.#pass });
    }
    this.#stopGuest();
    if (qemu.modern) this.#tell("device");
    // The rest is written under the big lock: the monitor waits until the kernel has it.
    hanging.push(qemu.hang());
    this.#sync();
    while (this.#dirty.size > PART_PAGES) await this.#write(this.#part(this.#take(PART_PAGES)));
    const last = this.#records(this.#take(PART_PAGES));
    this.#endWritten = true;
    await this.#write(concat([endHeader(SECTION_ID), last, partTrailer(SECTION_ID)]));
    await this.#write(DEVICE_TAIL);
    for (const release of hanging.splice(0)) release();
  }

  /** What is left would cross in the time that is allowed: QEMU completes, also where post-copy was ordered. */
  get #nearlyDone(): boolean {
    const { simulation, downtimeLimitMs } = this.#qemu;
    const bytesPerMs = this.#sentBytes / Math.max(1, simulation.nowMs - this.#sinceMs);
    return this.#dirty.size * PAGE_BYTES <= bytesPerMs * downtimeLimitMs;
  }

  async #postcopy(hanging: (() => void)[]): Promise<void> {
    const qemu = this.#qemu;
    hanging.push(qemu.hang());
    this.#stopGuest();
    this.#tell(qemu.modern ? "device" : "postcopy-active");
    this.#sync();
    this.#previous = undefined;
    await this.#write(concat(this.#discards()));
    await this.#write(encodePing(2));
    this.#inPostcopy = true;
    await this.#write(concat([encodePackaged(PACKAGE.length), PACKAGE, encodePing(4)]));
    for (const release of hanging.splice(0)) release();
    this.#tell("postcopy-active");
    while (this.#dirty.size > 0) {
      const asked = this.#urgent.splice(0).filter((page) => this.#dirty.delete(page));
      await this.#write(this.#part(asked.length > 0 ? asked : this.#take(2)));
      await this.#sleep(0.3 * qemu.random.float());
    }
    this.#endWritten = true;
    await this.#write(concat([endHeader(SECTION_ID), partTrailer(SECTION_ID), encodeEof()]));
  }

  #stopGuest(): void {
    const qemu = this.#qemu;
    this.#stoppedIt = true;
    this.#ranBefore = qemu.state === "running";
    qemu.stop("finish-migrate");
  }

  #discards(): Uint8Array[] {
    const { memory } = this.#qemu;
    const byBlock = new Map<string, { offset: number; bytes: number }[]>();
    for (const page of [...this.#dirty].sort((a, b) => a - b)) {
      const { block, offset } = memory.place(page);
      const ranges = byBlock.get(block.name) ?? [];
      const last = ranges.at(-1);
      if (last !== undefined && last.offset + last.bytes === offset) last.bytes += PAGE_BYTES;
      else ranges.push({ offset, bytes: PAGE_BYTES });
      byBlock.set(block.name, ranges);
    }
    return [...byBlock].map(([name, ranges]) => encodeDiscard(name, ranges));
  }

  #sync(): void {
    const qemu = this.#qemu;
    qemu.settleWrites();
    for (const page of qemu.dirty ?? []) this.#dirty.add(page);
    qemu.dirty?.clear();
  }

  #take(most: number): number[] {
    const pages: number[] = [];
    for (const page of this.#dirty) {
      if (pages.length >= most) break;
      pages.push(page);
      this.#dirty.delete(page);
    }
    return pages;
  }

  #part(pages: readonly number[]): Uint8Array {
    return concat([partHeader(SECTION_ID), this.#records(pages), partTrailer(SECTION_ID)]);
  }

  #records(pages: readonly number[]): Uint8Array {
    const qemu = this.#qemu;
    const { memory } = qemu;
    qemu.settleWrites();
    return concat(
      pages.map((page) => {
        const content = memory.pages[page]!;
        const zero = samePage(content, ZEROS);
        const { block, offset } = memory.place(page);
        const head = { block, offset, kind: zero ? PageKind.zero : PageKind.page, previous: this.#previous };
        this.#previous = block;
        return encodeRecord(head, zero ? Uint8Array.of(0) : content);
      }),
    );
  }

  #heard(bytes: Uint8Array): void {
    const all = Buffer.concat([this.#carry, bytes]);
    const next = this.#returnPath.push(all, 0, all.length);
    this.#carry = all.subarray(next);
  }

  #answered(message: ReturnMessage): void {
    if (message.type === "shut") {
      this.#shut = message.status;
      if (message.status === 0 && !this.#endWritten)
        this.#qemu.world.fail("shut_early", "SHUT(0) before the source QEMU had written its END");
      this.#ended.resolve();
    } else if (message.type === "request") {
      const { memory } = this.#qemu;
      const first = memory.number(message.block ?? this.#returnPath.lastBlock!, message.offset);
      for (let page = first; page < first + message.bytes / PAGE_BYTES; page++) this.#urgent.push(page);
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#qemu.simulation.schedule(ms, resolve, this.#qemu.process);
    });
  }
}
