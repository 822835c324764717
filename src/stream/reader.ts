/**
 * Reads QEMU's migration stream incrementally, in the caller's own buffers.
 * Goals: the same events for any chunking, nothing buffered here, every length bounded, every broken rule named.
 * Non-goal: understanding device state. From the first device section on the stream is opaque; a firewall looks through it
 * for what must not come (device-tail.ts).
 */
import { readBlockList } from "./block-list.ts";
import { be16, be32, Cursor, copyOf } from "./bytes.ts";
import { checkCommand, Phase } from "./commands.ts";
import { readConfiguration } from "./configuration.ts";
import { DeviceTail } from "./device-tail.ts";
import { CommandLimits, type FirewallOptions } from "./firewall.ts";
import {
  BLOCKS_MAX,
  COMMAND_NAMES,
  Command,
  ElementType,
  MAGIC,
  RAM_BYTES_MAX,
  RAM_VERSION,
  RamFlag,
  STREAM_VERSION,
} from "./format.ts";
import type { StreamRule } from "./rules.ts";
import { RecordScanner } from "./scanner.ts";
import { type Element, type RamBlock, StreamFault, type StreamHandler } from "./types.ts";
import { emptyEnd } from "./writer.ts";

export interface StreamReaderOptions {
  /** Most RAM blocks; 1..1024, default 1024. */
  readonly blocksMax?: number;
  /** Longest PACKAGED body in bytes; default 1 GiB (it passes in pieces and is never held here). */
  readonly packageBytesMax?: number;
  /** What the interrupted stream announced, when this is the new connection of a post-copy recovery. */
  readonly resume?: RamSection;
  /** The stream is a peer's, and goes to a QEMU: nothing passes that cannot be checked, and there are limits. */
  readonly firewall?: FirewallOptions | undefined;
}

/** The "ram" section as announced at its START. */
export interface RamSection {
  readonly id: number;
  readonly blocks: readonly RamBlock[];
}

/** What the next byte belongs to. */
type Place =
  | "header"
  | "configuration"
  | "element"
  | "blockList"
  | "startEos"
  | "records"
  | "footer"
  | "package"
  | "devices"
  | "description"
  | "verbatim"
  | "done";

type SectionKind = "start" | "part" | "end";

export class StreamReader {
  readonly #handler: StreamHandler;
  readonly #blocksMax: number;
  readonly #packageBytesMax: number;
  readonly #firewall: FirewallOptions | undefined;
  readonly #limits: CommandLimits | undefined;
  /** With a firewall: of the package or of the devices behind the memory. */
  #devices: DeviceTail | undefined;
  readonly #scanner: RecordScanner;
  #place: Place = "header";
  #phase: Phase = Phase.setup;
  #section: SectionKind = "start";
  #ram: RamSection | undefined;
  #blocks: Map<string, RamBlock> | undefined;
  #ignoreShared = false;
  #advised = false;
  #discarded = false;
  #parts = 0;
  #packageRest = 0;
  #consumed = 0;
  /** Offset in the stream minus offset in the buffer of the current push. */
  #base = 0;
  #fault: StreamFault | undefined;

  constructor(handler: StreamHandler, options: StreamReaderOptions = {}) {
    this.#handler = handler;
    this.#scanner = new RecordScanner(handler);
    this.#blocksMax = options.blocksMax ?? BLOCKS_MAX;
    this.#firewall = options.firewall;
    this.#limits = this.#firewall && new CommandLimits();
    this.#packageBytesMax = options.packageBytesMax ?? this.#firewall?.deviceBytesMax ?? 2 ** 30;
    if (options.resume !== undefined) this.#setRam(options.resume);
  }

  /** The "ram" section, once its block list has been read (or as given for a resumed stream). */
  get ram(): RamSection | undefined {
    return this.#blocks === undefined ? undefined : this.#ram;
  }

  /** Pages of this stream came in another way: what counts is that there were some. */
  notePages(): void {
    this.#parts++;
  }

  /** Whether a section of pages may come next: not within another section or a package, nor before or behind the memory. */
  get takesPages(): boolean {
    const { precopy, postcopy } = Phase;
    return this.#place === "element" && (this.#phase === precopy || this.#phase === postcopy);
  }

  /** With a firewall: the device sections so far, most likely, as `FirewallOptions.knownDevices` takes them. */
  get devices(): readonly string[] {
    return this.#devices?.sections ?? [];
  }

  /** Bytes consumed so far: the offset in the stream of the first unconsumed byte. */
  get consumedBytes(): number {
    return this.#consumed;
  }

  /**
   * Consumes as many whole elements and records of `buffer[start..end)` as there are.
   * The caller presents the rest again, contiguous, with more bytes behind it; it is never longer than CARRY_BYTES_MAX.
   * @returns offset in `buffer` of the first unconsumed byte
   * @throws StreamFault when a rule of the format is broken; from then on every call throws the same
   */
  push(buffer: Uint8Array, start: number, end: number): number {
    if (this.#fault !== undefined) throw this.#fault;
    this.#base = this.#consumed - start;
    let p = start;
    try {
      while (p < end) {
        const next = this.#step(buffer, p, end);
        if (next === p) break;
        p = next;
        this.#consumed = this.#base + p;
      }
    } catch (error) {
      if (error instanceof StreamFault) this.#fault = error;
      throw error;
    }
    return p;
  }

  /**
   * The stream's bytes have ended.
   * @throws StreamFault "truncated" unless a stream may end here: in the opaque tail, after the end of post-copy, or
   *   anywhere in transparent bytes. Whether an opaque tail is complete nobody but the target QEMU can tell.
   */
  end(): void {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#place === "verbatim" || this.#place === "done" || this.#place === "devices") return;
    if (this.#place === "description" && this.#packageRest < 0) return;
    this.#fault = new StreamFault("truncated", this.#consumed);
    throw this.#fault;
  }

  /** One whole thing, or as much as possible of what may be split. @returns `p` when more bytes are needed */
  #step(buffer: Uint8Array, p: number, end: number): number {
    switch (this.#place) {
      case "records":
        return this.#records(buffer, p, end);
      case "element":
        return this.#element(buffer, p, end);
      case "footer":
        return this.#footer(buffer, p, end);
      case "header":
        return this.#header(buffer, p, end);
      case "configuration":
        return this.#configuration(buffer, p, end);
      case "blockList":
        return this.#blockList(buffer, p, end);
      case "startEos":
        return this.#startEos(buffer, p, end);
      case "package":
        return this.#package(buffer, p, end);
      case "devices":
        return this.#watched(buffer, p, end);
      case "description":
        return this.#description(buffer, p, end);
      case "verbatim":
        this.#handler.bytes(buffer, p, end);
        return end;
      case "done":
        throw this.#broken("bytes_after_eof", p);
    }
  }

  #header(buffer: Uint8Array, p: number, end: number): number {
    const first = buffer[p]!;
    if (this.#firewall?.passUnchecked === false) {
      if (first === ElementType.command && this.#ram === undefined) throw this.#broken("resume_unchecked", p);
      if (first !== ElementType.command && this.#ram !== undefined) throw this.#broken("resume_expected", p);
    }
    if (first === ElementType.command) {
      this.#phase = Phase.resuming;
      this.#place = "element";
      return this.#element(buffer, p, end);
    }
    // A wrong first byte is enough to know that this is no stream; 0x11 begins a channel of multifd.
    if (first !== MAGIC >>> 24 && first !== 0x11) throw this.#broken("magic", p);
    if (end - p < 8) return p;
    const magic = be32(buffer, p);
    if (magic === 0x11223344) throw this.#broken("multifd_unsupported", p);
    if (magic !== MAGIC) throw this.#broken("magic", p);
    const version = be32(buffer, p + 4);
    if (version !== STREAM_VERSION) throw this.#broken("version", p + 4);
    this.#place = "configuration";
    return this.#tell({ type: "header", version }, buffer, p, p + 8);
  }

  #configuration(buffer: Uint8Array, p: number, end: number): number {
    if (buffer[p] !== ElementType.configuration) throw this.#broken("configuration_missing", p);
    const read = readConfiguration(buffer, p, end, this.#base);
    if (read === undefined) return p;
    if (read === "unknown") {
      const why = "an unknown part of the configuration";
      return this.#transparent(why, "configuration_unchecked", buffer, p, end);
    }
    this.#ignoreShared = read.ignoreShared;
    this.#place = "element";
    const { machine, subsections } = read;
    return this.#tell({ type: "configuration", machine, subsections }, buffer, p, read.end);
  }

  #element(buffer: Uint8Array, p: number, end: number): number {
    switch (buffer[p]) {
      case ElementType.part:
      case ElementType.end:
        return this.#partOrEnd(buffer, p, end);
      case ElementType.start:
      case ElementType.full:
        return this.#startOrFull(buffer, p, end);
      case ElementType.command:
        return this.#command(buffer, p, end);
      case ElementType.eof:
        if (this.#phase !== Phase.ended && this.#phase !== Phase.postcopyEnded)
          throw this.#broken("eof_early", p);
        // In pre-copy a description may follow: it belongs to the opaque tail.
        if (this.#phase !== Phase.ended) this.#place = "done";
        else if (this.#firewall === undefined) this.#place = "verbatim";
        else {
          this.#place = "description";
          this.#packageRest = -1;
        }
        return this.#tell({ type: "eof" }, buffer, p, p + 1);
      default:
        throw this.#broken("element_unknown", p);
    }
  }

  #partOrEnd(buffer: Uint8Array, p: number, end: number): number {
    if (end - p < 5) return p;
    if (this.#phase === Phase.setup || this.#phase === Phase.resuming)
      throw this.#broken("part_before_start", p);
    if (this.#phase === Phase.ended || this.#phase === Phase.postcopyEnded)
      throw this.#broken("part_after_end", p);
    const id = be32(buffer, p + 1);
    if (id !== this.#ram!.id) throw this.#broken("section_unknown", p + 1);
    this.#section = buffer[p] === ElementType.part ? "part" : "end";
    this.#parts++;
    this.#handler.element?.({ type: this.#section === "part" ? "sectionPart" : "sectionEnd", id });
    this.#place = "records";
    return p + 5;
  }

  #records(buffer: Uint8Array, p: number, end: number): number {
    const scanner = this.#scanner;
    const before = scanner.current;
    const at = scanner.scan(buffer, p, end);
    if (at > p) {
      const continues = (buffer[p + 7]! & RamFlag.continue) !== 0;
      this.#handler.records(buffer, p, at, continues ? before : undefined);
    }
    if (scanner.fault !== undefined) throw this.#broken(scanner.fault, at);
    if (!scanner.eos) return at;
    this.#place = "footer";
    return at + 8;
  }

  #footer(buffer: Uint8Array, p: number, end: number): number {
    if (buffer[p] !== ElementType.footer) throw this.#broken("footer_missing", p);
    if (end - p < 5) return p;
    const id = be32(buffer, p + 1);
    if (id !== this.#ram!.id) throw this.#broken("footer_section", p + 1);
    this.#place = "element";
    if (this.#section === "start") return this.#tell({ type: "sectionFooter", id }, buffer, p, p + 5);
    if (this.#section === "end") {
      this.#phase = this.#phase === Phase.postcopy ? Phase.postcopyEnded : Phase.ended;
      this.#handler.barrier("end");
    }
    this.#handler.element?.({ type: "sectionFooter", id });
    if (this.#section === "end") {
      const section = emptyEnd(id);
      this.#handler.bytes(section, 0, section.length);
    }
    return p + 5;
  }

  #startOrFull(buffer: Uint8Array, p: number, end: number): number {
    const c = new Cursor(buffer, p + 1, end);
    const id = c.u32();
    const name = c.name();
    const instance = c.u32();
    const version = c.u32();
    if (c.short) return p;
    if (name === "") throw this.#broken("name_empty", p);
    const full = buffer[p] === ElementType.full;
    const live = this.#phase === Phase.setup || this.#phase === Phase.precopy;
    if (!live && !(full && this.#phase === Phase.ended)) throw this.#broken("section_order", p);
    if (full) {
      if (live && this.#parts === 0) {
        const why = `the device section ${name} comes before the memory`;
        return this.#transparent(why, "early_device_unchecked", buffer, p, end);
      }
      if (live) this.#handler.barrier("devices");
      this.#place = this.#firewall === undefined ? "verbatim" : "devices";
      this.#watch(undefined)?.begin(id, name, instance, c.at - p);
      return this.#tell({ type: "sectionFull", id, name, instance, version }, buffer, p, c.at);
    }
    if (name !== "ram") {
      const why = `the live section ${name} is not known`;
      return this.#transparent(why, "section_unchecked", buffer, p, end);
    }
    if (this.#ram !== undefined) throw this.#broken("ram_twice", p);
    if (instance !== 0 || version !== RAM_VERSION) throw this.#broken("ram_version", p);
    this.#ram = { id, blocks: [] };
    this.#place = "blockList";
    return this.#tell({ type: "sectionStart", id, name, instance, version }, buffer, p, c.at);
  }

  #blockList(buffer: Uint8Array, p: number, end: number): number {
    const list = readBlockList(buffer, p, end, this.#base, {
      ignoreShared: this.#ignoreShared,
      postcopy: this.#advised,
      blocksMax: this.#blocksMax,
      ramBytesMax: Math.min(this.#firewall?.ramBytesMax ?? RAM_BYTES_MAX, RAM_BYTES_MAX),
    });
    if (list === undefined) return p;
    const { totalBytes, blocks } = list;
    this.#setRam({ id: this.#ram!.id, blocks });
    this.#place = "startEos";
    return this.#tell({ type: "ramBlocks", totalBytes, blocks }, buffer, p, list.end);
  }

  #startEos(buffer: Uint8Array, p: number, end: number): number {
    if (end - p < 8) return p;
    const flags = be16(buffer, p + 6) & 0xfff;
    if (flags & RamFlag.multifdFlush) throw this.#broken("multifd_unsupported", p);
    if (flags & RamFlag.hook) throw this.#broken("rdma_unsupported", p);
    if (be32(buffer, p) !== 0 || be32(buffer, p + 4) !== RamFlag.eos) throw this.#broken("eos_missing", p);
    this.#handler.bytes(buffer, p, p + 8);
    this.#section = "start";
    this.#phase = Phase.precopy;
    this.#place = "footer";
    return p + 8;
  }

  #command(buffer: Uint8Array, p: number, end: number): number {
    if (end - p < 5) return p;
    const command = be16(buffer, p + 1);
    const payloadEnd = p + 5 + be16(buffer, p + 3);
    if (payloadEnd > end) return p;
    const rule = checkCommand(command, buffer, p + 5, payloadEnd, {
      phase: this.#phase,
      advised: this.#advised,
      blocks: this.#blocks,
      packageBytesMax: this.#packageBytesMax,
    });
    if (rule !== undefined) throw this.#broken(rule, p);
    const payload = copyOf(buffer, p + 5, payloadEnd);
    const limit = this.#limits?.judge(command, payload, this.#ram?.blocks ?? []);
    if (limit !== undefined) throw this.#broken(limit, p);
    if (command === Command.postcopyRamDiscard && !this.#discarded) {
      this.#discarded = true;
      this.#handler.barrier("discard");
    }
    if (command === Command.packaged) this.#handler.barrier("package");
    const name = COMMAND_NAMES.get(command)!;
    this.#handler.element?.({ type: "command", command, name, payload });
    if (command === Command.packaged) {
      this.#packageRest = be32(payload, 0);
      this.#watch(this.#packageRest);
      this.#phase = Phase.postcopy;
      this.#scanner.postcopy = true;
      this.#place = "package";
      this.#handler.element?.({ type: "package", bytes: this.#packageRest });
    }
    if (command === Command.postcopyAdvise) this.#advised = payload.length === 16;
    this.#handler.bytes(buffer, p, payloadEnd);
    if (command === Command.postcopyResume) return this.#resumed(buffer, payloadEnd, end);
    return payloadEnd;
  }

  #resumed(buffer: Uint8Array, p: number, end: number): number {
    if (this.#ram === undefined) {
      const why = "a resumed stream does not announce its blocks";
      return this.#transparent(why, "resume_unchecked", buffer, p, end);
    }
    this.#phase = Phase.postcopy;
    this.#scanner.postcopy = true;
    return p;
  }

  /** Begins to look through the devices, where a firewall is asked for. */
  #watch(packageBytes: number | undefined): DeviceTail | undefined {
    if (this.#firewall === undefined) return undefined;
    const { deviceBytesMax: bytesMax, knownDevices: known } = this.#firewall;
    const ramId = this.#ram!.id;
    this.#devices = new DeviceTail({
      ramId,
      bytesMax,
      known,
      ...(packageBytes !== undefined && { packageBytes }),
    });
    return this.#devices;
  }

  /** Passes what the firewall lets through of devices, and of a package. */
  #watched(buffer: Uint8Array, p: number, end: number): number {
    const devices = this.#devices!;
    const stop = devices.fault === undefined ? devices.scan(buffer, p, end) : p;
    if (stop > p) this.#handler.bytes(buffer, p, stop);
    if (devices.fault !== undefined) throw this.#broken(devices.fault, stop);
    if (devices.complete) this.#place = "element";
    return stop;
  }

  /** Behind EOF, where no device section came: a description, or nothing. */
  #description(buffer: Uint8Array, p: number, end: number): number {
    if (this.#packageRest >= 0) {
      const stop = Math.min(end, p + this.#packageRest);
      this.#packageRest -= stop - p;
      if (this.#packageRest === 0) this.#place = "done";
      this.#handler.bytes(buffer, p, stop);
      return stop;
    }
    if (buffer[p] !== ElementType.description) throw this.#broken("bytes_after_eof", p);
    if (end - p < 5) return p;
    this.#packageRest = be32(buffer, p + 1);
    if (this.#packageRest > this.#firewall!.deviceBytesMax) throw this.#broken("devices_too_long", p);
    if (this.#packageRest === 0) this.#place = "done";
    this.#handler.bytes(buffer, p, p + 5);
    return p + 5;
  }

  #package(buffer: Uint8Array, p: number, end: number): number {
    if (this.#devices !== undefined) return this.#watched(buffer, p, end);
    const pieceEnd = Math.min(end, p + this.#packageRest);
    this.#packageRest -= pieceEnd - p;
    if (this.#packageRest === 0) this.#place = "element";
    this.#handler.bytes(buffer, p, pieceEnd);
    return pieceEnd;
  }

  /** What cannot be delimited: told once, and all the rest passes as it is; or, with a firewall, nothing does. */
  #transparent(why: string, rule: StreamRule, buffer: Uint8Array, p: number, end: number): number {
    if (this.#firewall?.passUnchecked === false) throw this.#broken(rule, p);
    if (this.#parts > 0) this.#handler.barrier("devices");
    this.#place = "verbatim";
    this.#handler.element?.({ type: "transparent", why });
    if (p < end) this.#handler.bytes(buffer, p, end);
    return end;
  }

  #setRam(ram: RamSection): void {
    this.#ram = ram;
    this.#blocks = new Map(ram.blocks.map((block) => [block.name, block]));
    this.#scanner.setBlocks(ram.blocks);
  }

  #tell(element: Element, buffer: Uint8Array, start: number, end: number): number {
    this.#handler.element?.(element);
    this.#handler.bytes(buffer, start, end);
    return end;
  }

  #broken(rule: StreamRule, p: number): StreamFault {
    return new StreamFault(rule, this.#base + p);
  }
}
