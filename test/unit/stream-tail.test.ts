/**
 * Goal: device tails and packages are cut where their sections end, bytes that only look like a footer do not mislead,
 * what cannot be cut is said; docs/stream.md lists the rules as they are; `godwit dump` prints a stream and refuses
 * what is none.
 * Method: golden streams; the table in the document compared with the code; dumps of temporary files.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { dumpFile } from "../../src/cli/dump.ts";
import { concat, cutTail, encodeCommand, encodeSectionFull, footer, RULES } from "../../src/stream/mod.ts";
import { vector } from "../tools/stream.ts";

const precopy = vector("stream-precopy");
const postcopy = vector("stream-postcopy");
const tail = precopy.subarray(precopy.indexOf("timer") - 6);
const body = postcopy.subarray(postcopy.indexOf(Buffer.from("0800040000", "hex"))).subarray(0, 33);
const types = (cut: ReturnType<typeof cutTail>) => cut.pieces.map(({ element }) => element.type);

test("a tail is cut into section, footer, EOF and description, and agrees with the description", () => {
  const cut = cutTail(tail, "tail");
  assert.deepEqual(types(cut), ["sectionFull", "sectionFooter", "eof", "description"]);
  assert.deepEqual(cut.pieces[0], {
    element: { type: "sectionFull", id: 0, name: "timer", instance: 0, version: 2 },
    start: 0,
    end: 25,
  });
  assert.equal(cut.restAt, tail.length);
  assert.equal(cut.described, true);
});

test("another section's footer inside the state does not end a section", () => {
  const open = encodeCommand(1);
  const state = concat([footer(4), open]);
  const section = concat([
    encodeSectionFull({ id: 5, name: "dev", instance: 0, version: 1 }),
    state,
    footer(5),
  ]);
  const cut = cutTail(concat([section, open]), "package");
  assert.deepEqual(
    cut.pieces.map(({ end }) => end),
    [section.length - 5, section.length, section.length + open.length],
  );
});

test("a description that lists other sections is told", () => {
  const other = Buffer.from(tail.toString("latin1").replace('"timer"', '"tomer"'), "latin1");
  assert.equal(cutTail(other, "tail").described, false);
});

test("a package is cut into commands and sections until it cannot be", () => {
  const cut = cutTail(body.subarray(0, 26), "package");
  assert.deepEqual(types(cut), ["command", "sectionFull", "sectionFooter"]);
  assert.equal(cut.restAt, 26);
  const odd = cutTail(body, "package");
  assert.deepEqual(types(odd), ["command"]);
  assert.equal(odd.restAt, 5);
});

test("a tail that breaks off is cut as far as it goes", () => {
  const cut = cutTail(tail.subarray(0, 28), "tail");
  assert.equal(cut.restAt, 0);
});

test("docs/stream.md has the table of rules as it is in the code", () => {
  const text = readFileSync(new URL("../../docs/stream.md", import.meta.url), "utf8");
  const rows = [...text.matchAll(/^\| `([a-z_]+)` \| (.*) \|$/gm)].map(([, rule, why]) => [rule, why]);
  assert.deepEqual(Object.fromEntries(rows), { ...RULES });
});

async function dump(bytes: Uint8Array, options: { json?: boolean; pages?: boolean } = {}) {
  const dir = mkdtempSync(join(tmpdir(), "godwit-dump-"));
  let out = "";
  let error: unknown;
  try {
    writeFileSync(join(dir, "stream"), bytes);
    await dumpFile(join(dir, "stream"), options, async (text) => {
      out += text;
    });
  } catch (caught) {
    error = caught;
  } finally {
    rmSync(dir, { recursive: true });
  }
  const lines = out.split("\n").filter(Boolean);
  return { lines, error: error as { code?: string; exitCode?: number; fields?: unknown } | undefined };
}

test("dump --json: one object per line, offsets of the file, pages summed up per section and block", async () => {
  const { lines, error } = await dump(precopy, { json: true });
  assert.equal(error, undefined);
  const elements = lines.map((line) => JSON.parse(line));
  for (const { at, type, id } of elements) {
    if (type === "sectionFull") assert.equal(precopy[at], 4);
    if (type === "sectionFooter") assert.equal(precopy.readUInt32BE(at + 1), id);
    if (type === "description") assert.equal(precopy[at], 6);
  }
  assert.deepEqual(
    elements.filter(({ type }) => type === "pages").map(({ at, ...rest }) => rest),
    [
      { type: "pages", block: "a", zero: 1, page: 1, xbzrle: 0, compressed: 0 },
      { type: "pages", block: "b", zero: 0, page: 1, xbzrle: 0, compressed: 0 },
      { type: "pages", block: "b", zero: 0, page: 0, xbzrle: 1, compressed: 0 },
      { type: "pages", block: "a", zero: 0, page: 0, xbzrle: 0, compressed: 1 },
      { type: "pages", block: "a", zero: 1, page: 0, xbzrle: 0, compressed: 0 },
    ],
  );
  assert.deepEqual(elements.at(-1), {
    at: precopy.length,
    type: "end",
    zero: 2,
    page: 2,
    xbzrle: 1,
    compressed: 1,
  });
});

test("dump --pages: one line per page, whose offset is that of its body", async () => {
  const { lines } = await dump(precopy, { json: true, pages: true });
  const pages = lines.map((line) => JSON.parse(line)).filter(({ type }) => type === "page");
  assert.equal(pages.length, 6);
  assert.deepEqual([...new Set(precopy.subarray(pages[1].at, pages[1].at + 4096))], [0x5a]);
});

test("dump cuts a package where it can, and says what it cannot", async () => {
  const { lines } = await dump(postcopy, { json: true });
  const at = postcopy.indexOf(body);
  const inside = lines.map((line) => JSON.parse(line)).filter((e) => e.at >= at && e.at < at + 33);
  assert.deepEqual(
    inside.map(({ type, at: where }) => [type, where - at]),
    [
      ["command", 0],
      ["opaque", 5],
    ],
  );
});

test("dump refuses a broken stream with rule and offset, after what came before it", async () => {
  const broken = Buffer.from(precopy);
  const at = precopy.indexOf(Buffer.from("7e00000002", "hex"));
  broken[at] = 0;
  const { lines, error } = await dump(broken);
  assert.equal(error?.code, "STREAM_INVALID");
  assert.equal(error.exitCode, 4);
  assert.deepEqual(error.fields, { rule: "footer_missing", atByte: at, why: RULES.footer_missing });
  assert.ok(lines.some((line) => line.includes("ramBlocks")));
});

test("dump refuses what is no stream, and what is no file", async () => {
  const { error } = await dump(Buffer.from("\x7fELF and so on"));
  assert.equal(error?.code, "FILE_NOT_STREAM");
  await assert.rejects(
    dumpFile(join(tmpdir(), "godwit-no-such-file"), {}, async () => {}),
    { code: "FILE_UNREADABLE", exitCode: 2 },
  );
  await assert.rejects(
    dumpFile(tmpdir(), {}, async () => {}),
    { code: "FILE_UNREADABLE" },
  );
});
