/** A migration into a QEMU: loading, post-copy with faults, pause and recovery. */
import {
  type Barrier,
  decodeDiscard,
  type Element,
  encodeReturnMessage,
  PageKind,
  type RamBlock,
  type RamSection,
  StreamFault,
  type StreamHandler,
  StreamReader,
} from "../../src/stream/mod.ts";
import { Server } from "../standins/net.ts";
import { DEVICE_TAIL, PACKAGE } from "./device.ts";
import { Line, Torn } from "./lines.ts";
import type { Machine } from "./machine.ts";
import { PAGE_BYTES, samePage, ZEROS } from "./memory.ts";

/** Loading device state takes up to so long. */
const LOAD_MS = 12;
/** In post-copy the guest touches a page about so often. */
const TOUCH_MS = 3;

export class Incoming implements StreamHandler {
  readonly #qemu: Machine;
  status = "setup";
  #server: Server | undefined;
  #line: Line | undefined;
  #reader: StreamReader;
  #section: RamSection | undefined;
  #carry: Buffer = Buffer.alloc(0);
  /** Opaque bytes expected next: the device tail, or the package. */
  #opaque: { readonly expected: Uint8Array; read: number } | undefined;
  /** Pages that were discarded and have not come; undefined before the first discard. */
  #missing: Set<number> | undefined;
  #listening = false;
  #packageLoaded = false;
  /** Post-copy: the stream has come to its end. */
  #whole = false;
  #asked = new Set<number>();
  #ended = false;
  /** Main thread work that waits for a page. */
  readonly #awaiting = new Map<number, () => void>();
  /** What was sent back and has no bytes yet in the kernel. */
  #back: Promise<void> = Promise.resolve();

  constructor(qemu: Machine, path: string) {
    this.#qemu = qemu;
    this.#reader = new StreamReader(this);
    this.#listen(path);
  }

  info(): object {
    return { status: this.status };
  }

  #tell(status: string): void {
    this.status = status;
    this.#qemu.simulation.trace(`incoming ${status}`);
    this.#qemu.emit("MIGRATION", { status });
  }

  #listen(path: string): void {
    const server = new Server({ allowHalfOpen: true }, (socket) => {
      server.close();
      this.#carry = Buffer.alloc(0);
      if (this.status === "setup") this.#tell("active");
      this.#line = new Line(
        socket,
        (bytes) => this.#heard(bytes),
        () => this.#lost("the connection was closed"),
      );
    });
    this.#server = server;
    server.listen(path);
  }

  /** @returns false: only a paused post-copy can be recovered */
  recover(path: string): boolean {
    if (this.status !== "postcopy-paused") return false;
    this.#server?.close();
    this.#reader = new StreamReader(this, { resume: this.#section! });
    this.#listen(path);
    return true;
  }

  #heard(bytes: Uint8Array): void {
    if (this.#ended) return;
    const all = this.#carry.length === 0 ? bytes : Buffer.concat([this.#carry, bytes]);
    try {
      const next = this.#reader.push(all, 0, all.length);
      this.#carry = Buffer.from(all.subarray(next));
    } catch (error) {
      if (!(error instanceof StreamFault)) throw error;
      this.#qemu.world.fail(
        "target_stream",
        `the target QEMU was given what it cannot read: ${error.message}`,
      );
    }
  }

  /** Before the guest may run QEMU exits; afterwards it waits for another way. */
  #lost(why: string): void {
    const { simulation, process } = this.#qemu;
    simulation.trace(`incoming lost: ${why}`);
    this.#line = undefined;
    if (this.#ended) return;
    if (!this.#listening) return void simulation.schedule(1, () => process.die(), process);
    this.#tell("postcopy-paused");
  }

  // What the reader tells

  bytes(buffer: Uint8Array, start: number, end: number): void {
    const opaque = this.#opaque;
    if (opaque === undefined) return;
    for (let at = start; at < end; at++, opaque.read++) {
      if (opaque.expected[opaque.read] === buffer[at]) continue;
      this.#qemu.world.fail("device_state", `byte ${opaque.read} of the device state is another one`);
      return;
    }
    if (opaque.read < opaque.expected.length) return;
    this.#opaque = undefined;
    if (opaque.expected === PRECOPY_TAIL) void this.#load();
    else void this.#loadPackage();
  }

  page(
    block: RamBlock,
    offset: number,
    kind: PageKind,
    buffer: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { memory, world } = this.#qemu;
    const page = memory.number(block.name, offset);
    const content = kind === PageKind.zero ? ZEROS : buffer.slice(start, end);
    if (this.#missing !== undefined) {
      if (!this.#missing.delete(page))
        return world.fail("page_twice", `page ${page} came in post-copy although it was not missing`);
      if (!samePage(content, world.truth[page]!))
        return world.fail("page_wrong", `page ${page} came in post-copy and is not what the source has`);
    }
    memory.pages[page] = content;
    this.#asked.delete(page);
    const go = this.#awaiting.get(page);
    this.#awaiting.delete(page);
    go?.();
  }

  records(): void {}

  barrier(barrier: Barrier): void {
    if (barrier === "discard") this.#missing ??= new Set();
    if (barrier === "package") this.#opaque = { expected: PACKAGE_WITH_HEAD, read: 0 };
    if (barrier !== "end") return;
    if (!this.#listening) {
      // END itself comes by `bytes` first.
      this.#opaque = { expected: PRECOPY_TAIL, read: 0 };
      return;
    }
    const left = this.#missing?.size ?? 0;
    if (left > 0) this.#qemu.world.fail("page_forgotten", `post-copy ends and ${left} pages never came`);
  }

  element(element: Element): void {
    const { memory } = this.#qemu;
    if (element.type === "ramBlocks") this.#section = this.#reader.ram;
    else if (element.type === "eof" && this.#listening) {
      // Its thread waits for the main one to have loaded the package.
      this.#whole = true;
      if (this.#packageLoaded) this.#complete();
    } else if (element.type !== "command") return;
    else if (element.name === "PING") {
      const value = Buffer.from(element.payload).readUInt32BE();
      this.#say(encodeReturnMessage({ type: "pong", value }));
    } else if (element.name === "POSTCOPY_RAM_DISCARD") {
      this.#missing ??= new Set();
      const discard = decodeDiscard(element.payload, memory.blocks)!;
      for (const { offset, bytes } of discard.ranges) {
        const first = memory.number(discard.block.name, offset);
        for (let page = first; page < first + bytes / PAGE_BYTES; page++) {
          this.#missing.add(page);
          memory.pages[page] = ZEROS;
        }
      }
    } else if (element.name === "RECV_BITMAP")
      this.#bitmap(Buffer.from(element.payload).toString("latin1", 1));
    else if (element.name === "POSTCOPY_RESUME") {
      this.#tell("postcopy-active");
      this.#say(encodeReturnMessage({ type: "resumeAck", value: 1 }));
      const again = [...this.#asked];
      this.#asked.clear();
      for (const page of again) this.#ask(page);
    }
  }

  #bitmap(name: string): void {
    const { memory } = this.#qemu;
    const block = memory.blocks.find((known) => known.name === name)!;
    const bits = new Uint8Array(Math.ceil(block.bytes / PAGE_BYTES / 64) * 8);
    const first = memory.number(name, 0);
    for (let page = 0; page < block.bytes / PAGE_BYTES; page++)
      if (!this.#missing!.has(first + page)) bits[page >> 3] = bits[page >> 3]! | (1 << (page & 7));
    this.#say(encodeReturnMessage({ type: "bitmap", block: name, bits }));
  }

  // Loading

  async #load(): Promise<void> {
    const release = this.#qemu.hang();
    await this.#sleep(LOAD_MS * this.#qemu.random.float());
    release();
    if (this.#line?.torn !== false) return;
    this.#complete();
    this.#here();
  }

  /** LISTEN, device state, PING 3, RUN. The main thread may need pages that have yet to come. */
  async #loadPackage(): Promise<void> {
    const qemu = this.#qemu;
    this.#listening = true;
    this.#tell("postcopy-active");
    const release = qemu.hang();
    await this.#sleep(LOAD_MS * qemu.random.float());
    const [first] = this.#missing ?? [];
    if (first !== undefined && qemu.random.chance(0.3)) await this.#touch(first);
    this.#packageLoaded = true;
    this.#say(encodeReturnMessage({ type: "pong", value: 3 }));
    release();
    this.#here();
    if (this.#whole) this.#complete();
    this.#touchOften();
  }

  /** The guest can run. */
  #here(): void {
    const qemu = this.#qemu;
    if (qemu.state !== "inmigrate") return;
    qemu.state = "paused";
    if (qemu.autostart) qemu.run();
  }

  #complete(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#tell("completed");
    this.#say(encodeReturnMessage({ type: "shut", status: 0 }));
    const line = this.#line;
    void this.#back.then(() => line?.close());
  }

  // Post-copy

  #touchOften(): void {
    const qemu = this.#qemu;
    const { simulation, random } = qemu;
    simulation.schedule(
      TOUCH_MS * 2 * random.float(),
      () => {
        const missing = this.#missing ?? new Set();
        if (missing.size === 0 || this.#ended) return;
        if (qemu.running && this.#asked.size < 3) {
          const page = random.int(0, qemu.memory.count - 1);
          if (missing.has(page)) this.#ask(page);
        }
        this.#touchOften();
      },
      qemu.process,
    );
  }

  #touch(page: number): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#missing!.has(page)) return resolve();
      this.#awaiting.set(page, resolve);
      this.#ask(page);
    });
  }

  #ask(page: number): void {
    if (this.#asked.has(page)) return;
    this.#asked.add(page);
    const { block, offset } = this.#qemu.memory.place(page);
    this.#say(encodeReturnMessage({ type: "request", block: block.name, offset, bytes: PAGE_BYTES }));
  }

  /** Whether the guest has all its memory, or will be given what is missing when it touches it. */
  get missing(): ReadonlySet<number> {
    return this.#missing ?? new Set();
  }

  get packageLoaded(): boolean {
    return this.#packageLoaded;
  }

  /** Everything came. */
  get complete(): boolean {
    return this.#ended;
  }

  #say(bytes: Uint8Array): void {
    const line = this.#line;
    if (line === undefined) return;
    this.#back = line.write(bytes).catch((error: unknown) => {
      if (!(error instanceof Torn)) throw error;
    });
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#qemu.simulation.schedule(ms, resolve, this.#qemu.process);
    });
  }
}

import { concat, emptyEnd, encodePackaged } from "../../src/stream/mod.ts";
import { SECTION_ID } from "./device.ts";

const PRECOPY_TAIL = concat([emptyEnd(SECTION_ID), DEVICE_TAIL]);
const PACKAGE_WITH_HEAD = concat([encodePackaged(PACKAGE.length), PACKAGE]);
