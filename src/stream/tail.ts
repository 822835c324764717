/**
 * Cuts a device tail, or the body of a package, into its sections: for people who look at a stream.
 *
 * HEURISTIC, and for a whole stream in hand only. Nothing in the format says where a device section ends; here it ends
 * at the first footer with the section's own id that is followed by something plausible. State that happens to contain
 * such bytes would be cut in the wrong place, so no byte may be passed on, held or changed on the word of this.
 */
import { be16, be32, Cursor, copyOf } from "./bytes.ts";
import { COMMAND_BYTES, COMMAND_NAMES, ElementType } from "./format.ts";
import type { Element } from "./types.ts";

export interface TailPiece {
  readonly element: Element;
  /** The piece's bytes in the tail; a FULL section without its footer, which is a piece of its own. */
  readonly start: number;
  readonly end: number;
}

export interface CutTail {
  readonly pieces: readonly TailPiece[];
  /** From here on nothing could be cut; equal to the tail's length when all was. */
  readonly restAt: number;
  /** Whether the sections found are those that the description lists; undefined without a description. */
  readonly described: boolean | undefined;
}

/**
 * @param bytes  from the first FULL section on; or the body of a package
 * @param kind  a package has commands between its sections and no EOF
 */
export function cutTail(bytes: Uint8Array, kind: "tail" | "package"): CutTail {
  const pieces: TailPiece[] = [];
  let p = 0;
  while (p < bytes.length) {
    const next = cutOne(bytes, p, kind, pieces);
    if (next === p) break;
    p = next;
  }
  return { pieces, restAt: p, described: matchesDescription(pieces) };
}

/** Adds what begins at `p`. @returns its end, or `p` when it cannot be cut */
function cutOne(bytes: Uint8Array, p: number, kind: "tail" | "package", pieces: TailPiece[]): number {
  switch (bytes[p]) {
    case ElementType.full:
      return cutSection(bytes, p, kind, pieces);
    case ElementType.command: {
      const end = commandEnd(bytes, p);
      if (end === p) return p;
      const command = be16(bytes, p + 1);
      const payload = copyOf(bytes, p + 5, end);
      const name = COMMAND_NAMES.get(command)!;
      pieces.push({ element: { type: "command", command, name, payload }, start: p, end });
      return end;
    }
    case ElementType.eof:
      if (kind === "package") return p;
      pieces.push({ element: { type: "eof" }, start: p, end: p + 1 });
      return p + 1;
    case ElementType.description: {
      const end = descriptionEnd(bytes, p);
      if (end === p) return p;
      const json = new TextDecoder().decode(bytes.subarray(p + 5, end));
      pieces.push({ element: { type: "description", json }, start: p, end });
      return end;
    }
    default:
      return p;
  }
}

function cutSection(bytes: Uint8Array, p: number, kind: "tail" | "package", pieces: TailPiece[]): number {
  const head = sectionHead(bytes, p);
  if (head === undefined) return p;
  const footerAt = findFooter(bytes, head.end, head.id, kind);
  if (footerAt < 0) return p;
  const { id, name, instance, version } = head;
  pieces.push({ element: { type: "sectionFull", id, name, instance, version }, start: p, end: footerAt });
  pieces.push({ element: { type: "sectionFooter", id }, start: footerAt, end: footerAt + 5 });
  return footerAt + 5;
}

function findFooter(bytes: Uint8Array, from: number, id: number, kind: "tail" | "package"): number {
  for (let at = bytes.indexOf(ElementType.footer, from); at >= 0; ) {
    if (at + 5 > bytes.length) return -1;
    if (be32(bytes, at + 1) === id && plausible(bytes, at + 5, kind)) return at;
    at = bytes.indexOf(ElementType.footer, at + 1);
  }
  return -1;
}

/** Can an element of a tail begin at `p`? */
function plausible(bytes: Uint8Array, p: number, kind: "tail" | "package"): boolean {
  if (p === bytes.length) return kind === "package";
  switch (bytes[p]) {
    case ElementType.full:
      return sectionHead(bytes, p) !== undefined;
    case ElementType.command:
      return commandEnd(bytes, p) > p;
    case ElementType.eof:
      return kind === "tail" && (p + 1 === bytes.length || descriptionEnd(bytes, p + 1) > p + 1);
    default:
      return false;
  }
}

/** A section header whose name is printable and whose version is small, as all of QEMU's are. */
function sectionHead(bytes: Uint8Array, p: number) {
  const c = new Cursor(bytes, p + 1, bytes.length);
  const id = c.u32();
  const name = c.name();
  const instance = c.u32();
  const version = c.u32();
  if (c.short || !/^[\x21-\x7e][\x20-\x7e]*$/.test(name) || id > 0xffff || version > 0xffff) return undefined;
  return { id, name, instance, version, end: c.at };
}

function commandEnd(bytes: Uint8Array, p: number): number {
  if (bytes[p] !== ElementType.command || p + 5 > bytes.length) return p;
  const command = be16(bytes, p + 1);
  const payloadBytes = be16(bytes, p + 3);
  if (!COMMAND_NAMES.has(command)) return p;
  if (payloadBytes !== (COMMAND_BYTES.get(command) ?? payloadBytes)) return p;
  const end = p + 5 + payloadBytes;
  return end <= bytes.length ? end : p;
}

/** A description is the last thing, and an object. */
function descriptionEnd(bytes: Uint8Array, p: number): number {
  if (bytes[p] !== ElementType.description || p + 6 > bytes.length) return p;
  const end = p + 5 + be32(bytes, p + 1);
  return end === bytes.length && bytes[p + 5] === 0x7b ? end : p;
}

function matchesDescription(pieces: readonly TailPiece[]): boolean | undefined {
  const last = pieces.at(-1)?.element;
  if (last?.type !== "description") return undefined;
  const found = pieces.flatMap(({ element }) =>
    element.type === "sectionFull" ? [`${element.name} ${element.instance}`] : [],
  );
  const listed = describedSections(last.json);
  return (
    listed !== undefined && listed.length === found.length && listed.every((name, i) => name === found[i])
  );
}

/** What the description lists, as "name instance"; undefined when it is no such JSON. */
function describedSections(json: string): string[] | undefined {
  let description: { devices?: readonly { name?: unknown; instance_id?: unknown }[] };
  try {
    description = JSON.parse(json);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  return Array.isArray(description.devices)
    ? description.devices.map((device) => `${device.name} ${device.instance_id}`)
    : undefined;
}
