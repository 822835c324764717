/**
 * Which shared libraries a program needs, as its own file says (ELF-64, little endian; System V gABI, "Program Loading
 * and Dynamic Linking"). Only what that takes is read.
 */
import { readFile, realpath } from "node:fs/promises";
import { basename, join } from "node:path";
import { GodwitError } from "../../src/errors/mod.ts";

const SEGMENT = { load: 1, dynamic: 2, interpreter: 3 } as const;
const TAG = { needed: 1, strings: 5 } as const;

export interface Linkage {
  /** Path of the dynamic loader; null: a library, or a static program. */
  readonly interpreter: string | null;
  /** Names (sonames) of what it needs itself. */
  readonly needed: readonly string[];
}

/** Reads an ELF file's own statement; null when it is no 64-bit little-endian ELF file. */
export function linkageOf(file: Buffer): Linkage | null {
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1) return null;
  const segments = Array.from({ length: file.readUInt16LE(0x38) }, (_, index) => {
    const at = Number(file.readBigUInt64LE(0x20)) + index * file.readUInt16LE(0x36);
    const word = (offset: number): number => Number(file.readBigUInt64LE(at + offset));
    return { type: file.readUInt32LE(at), offset: word(8), address: word(16), bytes: word(32) };
  });
  const text = (offset: number): string => file.toString("latin1", offset, file.indexOf(0, offset));
  const interpreter = segments.find(({ type }) => type === SEGMENT.interpreter);
  const dynamic = segments.find(({ type }) => type === SEGMENT.dynamic);
  const entries: { tag: number; value: number }[] = [];
  for (let at = dynamic?.offset ?? 0; dynamic !== undefined && at < dynamic.offset + dynamic.bytes; at += 16)
    entries.push({
      tag: Number(file.readBigUInt64LE(at)),
      value: Number(file.readBigUInt64LE(at + 8) & 0xffff_ffff_ffffn),
    });
  const strings = entries.find(({ tag }) => tag === TAG.strings)?.value ?? 0;
  const holder = segments.find(
    ({ type, address, bytes }) => type === SEGMENT.load && strings >= address && strings < address + bytes,
  );
  const table = strings - (holder?.address ?? 0) + (holder?.offset ?? 0);
  return {
    interpreter: interpreter === undefined ? null : text(interpreter.offset),
    needed: entries.filter(({ tag }) => tag === TAG.needed).map(({ value }) => text(table + value)),
  };
}

/** Where Debian's packages put libraries. */
const FOLDERS = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "lib", "usr/lib"];

/**
 * The libraries that `program` needs, directly or not, among the unpacked packages; the dynamic loader is one of them.
 * @param root  where packages were unpacked
 * @returns names with the files that hold them
 * @throws SETUP_FAILED naming a library that no package has
 */
export async function librariesOf(program: string, root: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const top = await realpath(root);
  const visit = async (path: string): Promise<void> => {
    const linkage = linkageOf(await readFile(path));
    const loader = linkage?.interpreter ? [basename(linkage.interpreter)] : [];
    for (const name of [...loader, ...(linkage?.needed ?? [])]) {
      if (found.has(name)) continue;
      const library = await find(name, top);
      if (library === null)
        throw new GodwitError("SETUP_FAILED", {
          command: `libraries of ${basename(program)}`,
          reason: `no package has ${name}`,
        });
      found.set(name, library);
      await visit(library);
    }
  };
  await visit(program);
  return found;
}

async function find(name: string, root: string): Promise<string | null> {
  for (const folder of FOLDERS) {
    const path = await realpath(join(root, folder, name)).catch(() => null); // not in this folder
    if (path?.startsWith(`${root}/`)) return path;
  }
  return null;
}
