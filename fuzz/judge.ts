/**
 * What a QEMU would meet in the bytes that it was given: written apart from src/stream, naively, to find what the firewall
 * should not have let through. It knows no device, so it takes every place for the end of a device section where QEMU could.
 *
 * @see docs/fuzzing.md
 */

/** Bytes that a target QEMU must not be given. */
export class Forbidden extends Error {
  constructor(what: string, at: number) {
    super(`forbidden at byte ${at} of what QEMU was given: ${what}`);
    this.name = "Forbidden";
  }
}

/** What came is too short to say more: nothing forbidden in it. */
class Short extends Error {}

export interface JudgeLimits {
  readonly ramBytesMax: number;
  readonly deviceBytesMax: number;
  /** In post-copy each missing page comes once: known where pages are accounted for. */
  readonly pagesOnce: boolean;
}

const PAGE = 4096;
const SUBSECTIONS = ["configuration/capabilities", "configuration/target-page-bits", "configuration/uuid"];

/** Reads `bytes` as a QEMU would. @throws Forbidden */
export function judge(bytes: Uint8Array, limits: JudgeLimits): void {
  try {
    new Judge(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), limits).all();
  } catch (error) {
    if (!(error instanceof Short)) throw error;
  }
}

class Judge {
  readonly #b: Buffer;
  readonly #limits: JudgeLimits;
  #p = 0;
  #blocks = new Map<string, number>();
  #ram = -1;
  #last: string | undefined;
  #phase: "setup" | "memory" | "ended" | "postcopy" | "over" = "setup";
  #advised = false;
  #missing: Set<string> | undefined;
  readonly #counts = new Map<number, number>();

  constructor(bytes: Buffer, limits: JudgeLimits) {
    this.#b = bytes;
    this.#limits = limits;
  }

  all(): void {
    this.#must(this.#u32() === 0x5145564d && this.#u32() === 3, "header");
    this.#must(this.#u8() === 7, "no configuration");
    const machine = this.#u32();
    this.#must(machine >= 1 && machine <= 255, "machine name");
    this.#take(machine);
    while (this.#peek() === 5) this.#subsection();
    while (this.#p < this.#b.length) this.#element();
  }

  #subsection(): void {
    this.#u8();
    const name = this.#name();
    this.#must(SUBSECTIONS.includes(name), `subsection ${name}`);
    this.#must(this.#u32() === 1, "version of a subsection");
    if (name === SUBSECTIONS[1]) this.#must(this.#u32() === 12, "page size");
    else if (name === SUBSECTIONS[2]) this.#take(16);
    else
      for (let count = this.#u32(); count > 0; count--)
        this.#must(this.#name() !== "mapped-ram", "pages outside of the stream");
  }

  #element(): void {
    const type = this.#u8();
    if (type === 1) this.#start();
    else if (type === 2 || type === 3) this.#records(type === 3);
    else if (type === 4) this.#devices();
    else if (type === 8) this.#command();
    else if (type === 0) {
      this.#must(this.#phase === "ended" || this.#phase === "over", "EOF too early");
      if (this.#p === this.#b.length) return;
      this.#must(this.#phase === "ended" && this.#u8() === 6, "bytes behind EOF");
      const length = this.#u32();
      this.#must(length <= this.#limits.deviceBytesMax, "length of a description");
      this.#take(length);
      this.#must(this.#p === this.#b.length, "bytes behind the description");
    } else this.#must(false, `element ${type}`);
  }

  #start(): void {
    this.#must(this.#phase === "setup", "START outside of the set-up");
    this.#ram = this.#u32();
    this.#must(this.#name() === "ram" && this.#u32() === 0 && this.#u32() === 4, "live section");
    const word = this.#u64();
    this.#must(word % PAGE === 4, "no list of blocks");
    let rest = word - 4;
    this.#must(rest <= this.#limits.ramBytesMax, "too much memory");
    while (rest > 0) {
      const name = this.#name();
      this.#must(name !== "" && !this.#blocks.has(name), "name of a block");
      const length = this.#u64();
      this.#must(length % PAGE === 0 && length <= rest, "length of a block");
      this.#blocks.set(name, length);
      rest -= length;
      // Addresses and page sizes: as the list is the only thing of its kind, a hint is enough here.
      if (this.#ignoresShared || (this.#advised && this.#hugeFollows(rest))) this.#u64();
    }
    this.#must(this.#u64() === 0x10, "end of the list");
    this.#footer();
    this.#phase = "memory";
  }

  get #ignoresShared(): boolean {
    return this.#b.subarray(0, 700).includes("x-ignore-shared");
  }

  #hugeFollows(rest: number): boolean {
    if (this.#peek() !== 0) return false;
    if (this.#p + 8 > this.#b.length) throw new Short();
    return rest > 0 || this.#b.readBigUInt64BE(this.#p) !== 0x10n;
  }

  #records(last: boolean): void {
    this.#must(this.#phase === "memory" || this.#phase === "postcopy", "pages outside of the memory");
    this.#must(this.#u32() === this.#ram, "id of a section");
    for (;;) {
      const word = this.#u64();
      if (word === 0x10) break;
      this.#record(word % PAGE, word - (word % PAGE));
    }
    this.#footer();
    if (!last) return;
    if (this.#limits.pagesOnce) this.#must((this.#missing?.size ?? 0) === 0, "the end with pages missing");
    this.#phase = this.#phase === "postcopy" ? "over" : "ended";
  }

  #record(flags: number, offset: number): void {
    if ((flags & 0x20) === 0) this.#last = this.#name();
    const kind = flags & ~0x20;
    const length = this.#last === undefined ? undefined : this.#blocks.get(this.#last);
    this.#must(length !== undefined, `block ${this.#last}`);
    this.#must(offset + PAGE <= length!, "a page outside of its block");
    const postcopy = this.#phase === "postcopy";
    if (kind === 2) this.#must(this.#u8() === 0, "fill byte");
    else if (kind === 8) this.#take(PAGE);
    else if (kind === 0x40 && !postcopy) this.#xbzrle();
    else if (kind === 0x100) {
      const bytes = this.#u32();
      this.#must(bytes >= 1 && bytes <= 4110, "length of a compressed page");
      this.#take(bytes);
    } else this.#must(false, `record of kind ${kind.toString(16)}`);
    const key = `${this.#last} ${offset}`;
    if (this.#missing !== undefined && this.#limits.pagesOnce)
      this.#must(this.#missing.delete(key), "a page that is not missing");
  }

  #xbzrle(): void {
    this.#must(this.#u8() === 1, "XBZRLE header");
    const end = this.#u8() * 256 + this.#u8() + this.#p;
    this.#must(end > this.#p && end - this.#p <= PAGE, "XBZRLE length");
    if (end > this.#b.length) throw new Short();
    let page = 0;
    for (let changed = false; this.#p < end; changed = !changed) {
      let run = this.#u8();
      if (run > 127) run = run - 128 + 128 * this.#u8();
      page += run;
      if (changed) this.#p += run;
      this.#must(page <= PAGE, "XBZRLE outside of the page");
    }
    this.#must(this.#p === end, "XBZRLE outside of its body");
  }

  #command(): void {
    const number = this.#u16();
    const length = this.#u16();
    const at = this.#p;
    const payload = this.#take(length);
    const count = (this.#counts.get(number) ?? 0) + 1;
    this.#counts.set(number, count);
    const memory = this.#phase === "memory";
    if (number === 1)
      this.#must(length === 0 && count === 1 && (memory || this.#phase === "setup"), "return path");
    else if (number === 2) this.#must(length === 4 && count <= 64, "PING");
    else if (number === 3) {
      this.#must((length === 16 || length === 0) && this.#phase === "setup", "ADVISE");
      this.#advised ||= length === 16;
    } else if (number === 6) this.#discard(payload);
    else if (number === 7) {
      this.#must(length === 4 && memory && this.#advised, "PACKAGED");
      const bytes = payload.readUInt32BE(0);
      this.#must(bytes > 0 && bytes <= this.#limits.deviceBytesMax, "length of a package");
      this.#package(bytes);
    } else if (number === 11) this.#must(length === 0 && memory, "SWITCHOVER_START");
    else this.#must(false, `command ${number} at ${at}`);
  }

  #discard(payload: Buffer): void {
    this.#must(this.#phase === "memory" && this.#advised, "RAM_DISCARD");
    const nameEnd = 2 + (payload[1] ?? 0);
    const name = payload.toString("latin1", 2, nameEnd);
    const length = this.#blocks.get(name);
    this.#must(length !== undefined && payload[0] === 0 && payload[nameEnd] === 0, "discard");
    this.#must(
      payload.length > nameEnd + 1 && (payload.length - nameEnd - 1) % 16 === 0,
      "ranges of a discard",
    );
    this.#missing ??= new Set();
    for (let at = nameEnd + 1; at < payload.length; at += 16) {
      const from = Number(payload.readBigUInt64BE(at));
      const bytes = Number(payload.readBigUInt64BE(at + 8));
      this.#must(from % PAGE === 0 && bytes % PAGE === 0 && bytes > 0 && from + bytes <= length!, "range");
      for (let page = from; page < from + bytes; page += PAGE) this.#missing.add(`${name} ${page}`);
    }
  }

  #package(bytes: number): void {
    const start = this.#p;
    const body = this.#b.subarray(start, start + bytes);
    const begin = Buffer.from("080004000004", "hex").subarray(0, body.length);
    this.#must(body.subarray(0, 6).equals(begin), "a package that does not begin with LISTEN and a device");
    if (body.length > 10) this.#everyEnd(body, 5, bytes);
    if (body.length === bytes)
      this.#must(body.subarray(-5).equals(Buffer.from("0800050000", "hex")), "no RUN");
    this.#p = start + body.length;
    if (body.length < bytes) throw new Short();
    this.#missing ??= new Set();
    this.#phase = "postcopy";
  }

  /** All the rest. */
  #devices(): void {
    this.#must(this.#phase === "ended" || this.#phase === "memory", "devices too early");
    const start = this.#p - 1;
    const rest = this.#b.subarray(start);
    this.#must(rest.length <= this.#limits.deviceBytesMax, "too much device state");
    if (rest.length > 5) this.#everyEnd(rest, 0, undefined);
    this.#p = this.#b.length;
  }

  /** Each place in devices where QEMU may look for its next element, if it is one that QEMU would take. */
  #everyEnd(b: Buffer, first: number, packageBytes: number | undefined): void {
    const ids = new Set([b.readUInt32BE(first + 1)]);
    // What looks like an end within the first header is none: nothing is before it that could be read in another way.
    for (let at = first + 6 + b[first + 5]! + 8; at + 10 <= b.length; at++) {
      if (b[at] !== 0x7e || !ids.has(b.readUInt32BE(at + 1))) continue;
      const type = b[at + 5]!;
      const named = /^[ -~]+$/.test(b.toString("latin1", at + 11, at + 11 + (b[at + 10] ?? 0)));
      const whole = at + 19 + (b[at + 10] ?? 0) <= b.length;
      if (type === 4 && named && whole) ids.add(b.readUInt32BE(at + 6));
      this.#must(type !== 1 || !named || !whole, "a live section behind a device");
      const pages = (type === 2 || type === 3) && b.readUInt32BE(at + 6) === this.#ram;
      this.#must(!pages, "pages behind a device");
      if (type !== 8 || !knownCommand(b.readUInt16BE(at + 6), b.readUInt16BE(at + 8))) continue;
      this.#must(packageBytes !== undefined, "a command behind a device");
      let p = at + 5;
      while (b.length - p >= 9 && b.subarray(p, p + 5).equals(Buffer.from("0800020004", "hex"))) p += 9;
      const rest = b.subarray(p);
      this.#must(p + 5 === packageBytes || rest.length < 5, "commands that do not end the package");
      this.#must(
        Buffer.from("0800050000", "hex").subarray(0, rest.length).equals(rest.subarray(0, 5)),
        "no RUN",
      );
      return;
    }
  }

  #footer(): void {
    this.#must(this.#u8() === 0x7e && this.#u32() === this.#ram, "footer");
  }

  #must(holds: boolean, what: string): asserts holds {
    if (!holds) throw new Forbidden(what, this.#p);
  }

  #peek(): number {
    if (this.#p >= this.#b.length) throw new Short();
    return this.#b[this.#p]!;
  }

  #take(bytes: number): Buffer {
    if (this.#p + bytes > this.#b.length) throw new Short();
    this.#p += bytes;
    return this.#b.subarray(this.#p - bytes, this.#p);
  }

  #u8(): number {
    return this.#take(1)[0]!;
  }

  #u16(): number {
    return this.#take(2).readUInt16BE(0);
  }

  #u32(): number {
    return this.#take(4).readUInt32BE(0);
  }

  #u64(): number {
    return Number(this.#take(8).readBigUInt64BE(0));
  }

  #name(): string {
    return this.#take(this.#u8()).toString("latin1");
  }
}

/** By QEMU's table of commands: numbers and lengths. */
function knownCommand(number: number, length: number): boolean {
  const lengths: Record<number, number> = { 1: 0, 2: 4, 4: 0, 5: 0, 7: 4, 8: 0, 9: 0, 11: 0 };
  return number >= 1 && number <= 11 && (lengths[number] ?? length) === length;
}
