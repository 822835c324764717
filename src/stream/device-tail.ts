/**
 * Watches bytes that nobody can cut into device sections: what follows the first of them, or the body of a package.
 *
 * Where a device section ends only QEMU's device code knows. But QEMU takes the next element only behind a footer with the
 * id of the section that it is in. So every place where such a footer stands *may* be an end, and no other place can be.
 * Where something stands behind one of them that QEMU would act on and must not (a command, pages, another live section) it
 * is refused, however the bytes between are to be read. What QEMU itself would refuse there is taken for a device's state:
 * else states with many zeros would look like elements, as ids are small (the section "timer" has the id 0).
 *
 * Not judged: what is in the sections, and whether QEMU is told to stop before all of them; that is QEMU's own business.
 */
import { be16, be32, latin1 } from "./bytes.ts";
import { COMMAND_BYTES, COMMAND_NAMES, Command, ElementType } from "./format.ts";
import type { StreamRule } from "./rules.ts";

export interface DeviceTailOptions {
  /** The section with the memory. */
  readonly ramId: number;
  /** Length of a package; undefined: the devices of pre-copy, whose end nobody tells. */
  readonly packageBytes?: number;
  /** The most bytes, of devices that are not in a package. */
  readonly bytesMax: number;
  /** Sections as `sectionKey` writes them, in the order in which an earlier stream of the same machine had them. */
  readonly known?: readonly string[] | undefined;
}

/** LISTEN, and the type of the first section. */
const PACKAGE_BEGIN = [ElementType.command, 0, Command.postcopyListen, 0, 0, ElementType.full] as const;
/** A footer, and a PING and a RUN. */
const FOOTER_BYTES = 5;
const PING_BYTES = 9;
const RUN_BYTES = 5;
/** PINGs before RUN. QEMU sends one. */
const PINGS_MAX = 3;
/** Far above what a machine has. */
const SECTIONS_MAX = 4096;

/** QEMU's devices have names of this kind; it takes a section with no other. Also of the begin of one. */
const NAME = /^[ -~]*$/;

/** How an order of sections names one. */
export function sectionKey(name: string, instance: number): string {
  return `${name} ${instance}`;
}

export class DeviceTail {
  /** Set by `scan`: what stands at the place where it stopped breaks this rule. */
  fault: StreamRule | undefined;
  /** Keys of the sections, as they most likely follow each other. For an order to hold later streams to, not for checks. */
  readonly sections: string[] = [];
  readonly #options: DeviceTailOptions;
  /** Ids of all sections that may be the one that is being read. */
  readonly #ids = new Set<number>();
  readonly #keys = new Set<string>();
  readonly #known: ReadonlyMap<string, number>;
  #newest = -1;
  #place = -1;
  /** Bytes that were passed. */
  #passed = 0;
  #closed = false;

  constructor(options: DeviceTailOptions) {
    this.#options = options;
    this.#known = new Map((options.known ?? []).map((key, place) => [key, place]));
  }

  /** The first section of a tail: its header, `bytes` long, was read by who reads the stream. */
  begin(id: number, name: string, instance: number, bytes: number): void {
    this.#passed = bytes;
    this.fault = this.#open(id, name, instance);
  }

  /** Nothing of a package is missing. */
  get complete(): boolean {
    return this.#passed === this.#options.packageBytes;
  }

  /**
   * Looks through `buffer[start..end)`.
   * @returns where what may be passed on ends. Behind it: bytes that cannot be judged without more of them, at most 300, to
   *   be presented again; or the place where `fault` is broken; or what follows the package.
   */
  scan(buffer: Uint8Array, start: number, end: number): number {
    const { packageBytes } = this.#options;
    if (packageBytes !== undefined) return this.#package(buffer, start, end, packageBytes);
    const room = this.#options.bytesMax - this.#passed;
    const stop = this.#footers(buffer, start, Math.min(end, start + room), end);
    this.#passed += stop - start;
    if (this.fault === undefined && stop === start + room && stop < end) this.fault = "devices_too_long";
    return stop;
  }

  #package(buffer: Uint8Array, start: number, available: number, packageBytes: number): number {
    const bodyEnd = start - this.#passed + packageBytes;
    const end = Math.min(available, bodyEnd);
    let stop = end;
    if (this.#passed === 0) stop = this.#listen(buffer, start, end);
    else if (!this.#closed) {
      // Where RUN must stand, the end of the last section must have been seen.
      stop = this.#footers(buffer, start, Math.min(end, bodyEnd - RUN_BYTES), end, bodyEnd);
      if (this.#closed) stop = bodyEnd;
    }
    if (stop === start && available >= bodyEnd) this.fault ??= "package_body";
    this.#passed += stop - start;
    return stop;
  }

  /** LISTEN, and the header of the first section. @returns `start` when that is not there, or not yet */
  #listen(buffer: Uint8Array, start: number, end: number): number {
    for (const [i, byte] of PACKAGE_BEGIN.entries()) {
      if (start + i >= end) return start;
      if (buffer[start + i] !== byte) return this.#broken("package_body", start);
    }
    const header = sectionAt(buffer, start + PACKAGE_BEGIN.length - 1, end);
    if (header === undefined) return start;
    if (header === "none") return this.#broken("package_body", start);
    this.fault = this.#open(header.id, header.name, header.instance);
    return this.fault === undefined ? header.end : start;
  }

  /**
   * Judges each place in `[start..end)` where a section may end; what is told of one place does not hide the next ones.
   * @param seen  the end of what can be looked at
   * @param bodyEnd  of a package
   */
  #footers(buffer: Uint8Array, start: number, end: number, seen: number, bodyEnd?: number): number {
    let at = buffer.indexOf(ElementType.footer, start);
    for (; at >= 0 && at < end; at = buffer.indexOf(ElementType.footer, at + 1)) {
      if (!this.#mayBeFooter(buffer, at, seen)) continue;
      if (seen - at <= FOOTER_BYTES || !this.#allowedBehind(buffer, at, seen, bodyEnd)) return at;
      if (this.#closed) break;
    }
    return end;
  }

  /** Whether the bytes at `at`, as far as they are there, are a footer of a section that may be open. */
  #mayBeFooter(buffer: Uint8Array, at: number, seen: number): boolean {
    if (seen - at >= FOOTER_BYTES) return this.#ids.has(be32(buffer, at + 1));
    for (const id of this.#ids) {
      let i = 1;
      while (at + i < seen && buffer[at + i] === ((id >>> (8 * (4 - i))) & 0xff)) i++;
      if (at + i >= seen) return true;
    }
    return false;
  }

  /** @returns false: what stands behind the footer at `at` is not allowed (`fault`), or not there yet */
  #allowedBehind(buffer: Uint8Array, at: number, seen: number, bodyEnd: number | undefined): boolean {
    const next = at + FOOTER_BYTES;
    switch (buffer[next]) {
      case ElementType.part:
      case ElementType.end:
        if (seen - next < 5) return seen === bodyEnd;
        return this.#unless(be32(buffer, next + 1) === this.#options.ramId);
      case ElementType.command:
        if (seen - next < 5) return seen === bodyEnd;
        if (!isCommand(buffer, next)) return true;
        return bodyEnd === undefined ? this.#unless(true) : this.#closing(buffer, next, seen, bodyEnd);
      case ElementType.start:
      case ElementType.full: {
        const header = sectionAt(buffer, next, seen);
        if (header === undefined) return seen === bodyEnd;
        if (header === "none") return true;
        if (buffer[next] === ElementType.start) return this.#unless(true);
        const likely = be32(buffer, at + 1) === this.#newest;
        this.fault = this.#open(header.id, header.name, header.instance, likely);
        return this.fault === undefined;
      }
      default:
        return true;
    }
  }

  #unless(broken: boolean): boolean {
    if (broken) this.fault = "element_in_devices";
    return !broken;
  }

  /** PINGs and RUN, from `at` to the very end of the package. */
  #closing(buffer: Uint8Array, at: number, seen: number, bodyEnd: number): boolean {
    const pings = (bodyEnd - RUN_BYTES - at) / PING_BYTES;
    const possible = Number.isInteger(pings) && pings >= 0 && pings <= PINGS_MAX;
    if (possible && seen < bodyEnd) return false;
    let p = at;
    for (let i = 0; possible && i <= pings; i++) {
      if (!isCommand(buffer, p) || be16(buffer, p + 1) !== (i < pings ? Command.ping : Command.postcopyRun))
        break;
      p += i < pings ? PING_BYTES : RUN_BYTES;
    }
    this.#closed = p === bodyEnd;
    if (!this.#closed) this.fault = "element_in_devices";
    return this.#closed;
  }

  #open(id: number, name: string, instance: number, likely = true): StreamRule | undefined {
    const key = sectionKey(name, instance);
    if (this.#keys.has(key)) return "device_twice";
    if (this.#keys.size === SECTIONS_MAX) return "devices_too_many";
    const place = this.#known.get(key) ?? this.#place;
    if (place < this.#place) return "device_order";
    this.#place = place;
    this.#keys.add(key);
    this.#ids.add(id);
    if (!likely) return undefined;
    this.#newest = id;
    this.sections.push(key);
    return undefined;
  }

  #broken(rule: StreamRule, at: number): number {
    this.fault = rule;
    return at;
  }
}

/** Whether QEMU knows the command at `at`, and takes it with the length that it has. 5 bytes are there. */
function isCommand(buffer: Uint8Array, at: number): boolean {
  const command = be16(buffer, at + 1);
  const bytes = be16(buffer, at + 3);
  return (
    buffer[at] === ElementType.command &&
    COMMAND_NAMES.has(command) &&
    bytes === (COMMAND_BYTES.get(command) ?? bytes)
  );
}

interface SectionHeader {
  readonly id: number;
  readonly name: string;
  readonly instance: number;
  readonly end: number;
}

/** The header of the section at `at`; "none" when QEMU would not take it for one, undefined when it is not whole. */
function sectionAt(buffer: Uint8Array, at: number, end: number): SectionHeader | "none" | undefined {
  if (end - at < 6) return undefined;
  const nameBytes = buffer[at + 5]!;
  const nameEnd = at + 6 + nameBytes;
  const name = latin1(buffer, at + 6, Math.min(end, nameEnd));
  if (nameBytes === 0 || !NAME.test(name)) return "none";
  if (nameEnd + 8 > end) return undefined;
  return { id: be32(buffer, at + 1), name, instance: be32(buffer, nameEnd), end: nameEnd + 8 };
}
