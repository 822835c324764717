/**
 * Makes the seeds that are real: streams of the set-up's QEMUs, thinned to a few pages of each section, with their devices and
 * return paths as they were. Writes test/vectors/captures; run it when a QEMU of another version is to be known.
 *
 *   node fuzz/capture.ts
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { artefacts } from "../lab/setup/mod.ts";
import { encodeRecord, type RamBlock, type StreamHandler, StreamReader } from "../src/stream/mod.ts";
import { capture } from "../test/tools/capture.ts";

const FOLDER = join(import.meta.dirname, "../test/vectors/captures");
/** Of each section with pages. */
const PAGES = 3;
const SECTIONS_WITH_PAGES = 4;

/** The same stream with a few of its pages, all of them in PART sections. */
export function thinned(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  let section: Uint8Array[] = [];
  let sections = 0;
  let previous: RamBlock | undefined;
  const reader = new StreamReader({
    bytes: (buffer, start, end) => parts.push(buffer.slice(start, end)),
    page(block, offset, kind, buffer, start, end) {
      if (section.length === PAGES || sections === SECTIONS_WITH_PAGES) return;
      section.push(encodeRecord({ block, offset, kind, previous }, buffer.subarray(start, end)));
      previous = block;
    },
    records: () => undefined,
    barrier: () => undefined,
    element(element) {
      if (element.type === "package") sections = 0;
      if (element.type !== "sectionFooter" || section.length === 0) return;
      parts.push(
        head(2, element.id),
        ...section,
        Buffer.from("0000000000000010", "hex"),
        head(0x7e, element.id),
      );
      section = [];
      sections++;
    },
  } satisfies StreamHandler);
  reader.push(bytes, 0, bytes.length);
  return Buffer.concat(parts);
}

function head(type: number, id: number): Uint8Array {
  const out = Buffer.alloc(5);
  out[0] = type;
  out.writeUInt32BE(id, 1);
  return out;
}

if (process.argv[1] === import.meta.filename) {
  mkdirSync(FOLDER, { recursive: true });
  for (const qemu of artefacts().qemus) {
    for (const finish of ["precopy", "postcopy"] as const) {
      const capabilities = finish === "postcopy" ? ["return-path", "postcopy-ram"] : ["return-path"];
      const { connections } = await capture({
        ...{ source: qemu, target: qemu, machine: "pc-q35-7.2", capabilities, finish },
      });
      const [{ forward, back }] = connections as [(typeof connections)[0]];
      const name = `${qemu.version}-${finish}`;
      writeFileSync(join(FOLDER, `${name}.stream.zst`), zstdCompressSync(thinned(forward)));
      writeFileSync(join(FOLDER, `${name}.return.zst`), zstdCompressSync(back));
      process.stdout.write(`${name}: ${forward.length} bytes, ${thinned(forward).length} when thinned\n`);
    }
  }
}
