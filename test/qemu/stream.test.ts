/**
 * Goal: the reader understands what real QEMUs send, in every mode and both ways, and loses nothing of it.
 * Method: two QEMUs joined by a recording pass-through (test/tools/capture.ts), a guest that writes 4 MiB without end;
 * the recordings are read in whole and in pieces, written again byte by byte, and counted against `query-migrate`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { artefacts, type QemuArtefact } from "../../lab/setup/mod.ts";
import {
  cutTail,
  type Element,
  encodeReturnMessage,
  type RamSection,
  type ReturnMessage,
  ReturnPathReader,
  type StreamReaderOptions,
} from "../../src/stream/mod.ts";
import { type Capture, type CaptureOptions, capture, captureFile, type Recording } from "../tools/capture.ts";
import { type Recorder, readAll, rewrite } from "../tools/stream.ts";

const { qemus } = artefacts();
/** Pieces as unlike QEMU's writes as can be: prime sizes, up to a few pages. */
const cuts = (bytes: Uint8Array) => {
  const out: number[] = [];
  for (let at = 0, i = 0; at < bytes.length; at += [1, 7, 4099, 13, 65537, 2][i++ % 6]!) out.push(at);
  return out;
};

/** Reads one recording every way there is; gives what was told. */
function check({ forward }: Recording, options: StreamReaderOptions = {}) {
  const { recorder, reader, fault } = readAll(forward, [], options);
  const pieces = readAll(forward, cuts(forward), options);
  assert.deepEqual(pieces.recorder.done(), recorder.done());
  assert.equal(pieces.fault?.atByte, fault?.atByte);
  if (fault === undefined)
    assert.ok(rewrite(forward, options).equals(forward), "written again, the bytes are the same");
  return { recorder, fault, ram: reader.ram as RamSection, elements: recorder.elements() };
}

function checkBack({ back }: Recording, ram: RamSection): ReturnMessage[] {
  const messages: ReturnMessage[] = [];
  const reader = new ReturnPathReader(
    { message: (m) => messages.push(m), bytes() {} },
    { blocks: ram.blocks },
  );
  assert.equal(reader.push(back, 0, back.length), back.length);
  assert.ok(Buffer.concat(messages.map(encodeReturnMessage)).equals(back));
  return messages;
}

function checkCounts({ counts, xbzrleBytes }: Recorder, { info }: Pick<Capture, "info">) {
  assert.equal(counts.page, info.ram?.normal, "pages sent whole");
  assert.equal(counts.zero, info.ram?.duplicate, "zero pages");
  // Its count of pages has those in it that had not changed and were not sent, so the bytes are compared.
  assert.equal(xbzrleBytes, info["xbzrle-cache"]?.bytes ?? 0, "bytes of XBZRLE pages");
  assert.ok(counts.page > 1000 && counts.zero > 1000, "the guest has written memory, and not all");
}

/** Cuts the tail that begins with the first FULL section, and compares with QEMU's own description. */
function checkTail(forward: Buffer, elements: readonly Element[]) {
  const full = elements.find((element) => element.type === "sectionFull");
  assert.ok(full?.type === "sectionFull");
  const head = Buffer.concat([Buffer.from([4, 0, 0, 0, full.id, full.name.length]), Buffer.from(full.name)]);
  const tail = forward.subarray(forward.lastIndexOf(head));
  const cut = cutTail(tail, "tail");
  assert.equal(cut.restAt, tail.length);
  assert.equal(cut.described, true);
}

const barriers = (log: readonly unknown[]) =>
  log.flatMap((entry) => (entry as { barrier?: string }).barrier ?? []);

type Run = Pick<CaptureOptions, "source" | "target" | "machine">;
const runs: [string, Run][] = qemus.map((qemu) => [
  qemu.version,
  { source: qemu, target: qemu, machine: "q35" },
]);
const [older, newer] = qemus;
if (older !== undefined && newer !== undefined) {
  const machine = `pc-q35-${older.version.split(".").slice(0, 2).join(".")}`;
  runs.push([`${older.version} -> ${newer.version}`, { source: older, target: newer, machine }]);
}

for (const [name, run] of runs) {
  test(`${name}: pre-copy`, async () => {
    const captured = await capture({ ...run, capabilities: ["return-path"], finish: "precopy" });
    const [connection] = captured.connections as [Recording];
    const { recorder, fault, ram, elements } = check(connection);
    assert.equal(fault, undefined);
    assert.deepEqual(barriers(recorder.log), ["end"]);
    checkCounts(recorder, captured);
    checkTail(connection.forward, elements);
    assert.deepEqual(checkBack(connection, ram).at(-1), { type: "shut", status: 0 });
  });
  if (run.source !== run.target) continue; // what a source sends does not depend on the target's version

  test(`${name}: pre-copy with xbzrle`, async () => {
    const captured = await capture({ ...run, capabilities: ["return-path", "xbzrle"], finish: "precopy" });
    const { recorder, fault } = check(captured.connections[0]!);
    assert.equal(fault, undefined);
    assert.ok(recorder.counts.xbzrle > 0);
    checkCounts(recorder, captured);
  });

  test(`${name}: post-copy`, async () => {
    const captured = await capture({ ...run, capabilities: ["postcopy-ram"], finish: "postcopy" });
    const [connection] = captured.connections as [Recording];
    const { recorder, fault, ram } = check(connection);
    assert.equal(fault, undefined);
    assert.deepEqual(barriers(recorder.log), ["discard", "package", "end"]);
    checkCounts(recorder, captured);
    const messages = checkBack(connection, ram);
    assert.deepEqual(messages.at(-1), { type: "shut", status: 0 });
    assert.equal(messages.filter(({ type }) => type === "pong").length, 4);
  });

  test(`${name}: post-copy, interrupted and recovered on a second connection`, async () => {
    const captured = await capture({
      ...run,
      capabilities: ["postcopy-ram"],
      finish: "postcopy",
      interrupt: true,
    });
    const [first, second] = captured.connections as [Recording, Recording];
    const before = check(first);
    assert.equal(before.fault?.rule, "truncated");
    checkBack(first, before.ram);
    const after = check(second, { resume: before.ram });
    assert.equal(after.fault, undefined);
    assert.ok(after.recorder.counts.page > 0);
    const messages = checkBack(second, before.ram);
    const bitmaps = messages.filter((message) => message.type === "bitmap");
    assert.deepEqual(
      bitmaps.map(({ block }) => block).sort(),
      before.ram.blocks.map(({ name }) => name).sort(),
    );
    assert.deepEqual(
      messages.slice(-2).map(({ type }) => type),
      ["resumeAck", "shut"],
    );
  });
}

const file = (
  qemu: QemuArtefact,
  capabilities: readonly string[],
  args: readonly string[] = [],
  machine = "q35",
) => captureFile(qemu, { machine, capabilities, args });

for (const qemu of qemus) {
  test(`${qemu.version}: background snapshot, each page once, devices without an END of ram`, async () => {
    const { bytes } = await file(qemu, ["background-snapshot"]);
    const { recorder, fault, ram, elements } = check({ forward: bytes, back: Buffer.alloc(0) });
    assert.equal(fault, undefined);
    assert.deepEqual(barriers(recorder.log), ["devices"]);
    const places = recorder.pages.map((page) => page.split(" ").slice(0, 2).join(" "));
    assert.equal(new Set(places).size, places.length);
    assert.equal(places.length, ram.blocks.reduce((sum, block) => sum + block.bytes, 0) / 4096);
    checkTail(bytes, elements);
  });

  test(`${qemu.version}: configuration with uuid, capability x-ignore-shared with addresses`, async () => {
    const memory = [
      "-object",
      "memory-backend-memfd,id=m0,size=32M,share=on",
      "-machine",
      "memory-backend=m0",
    ];
    const uuid = ["-uuid", "01234567-89ab-cdef-0123-456789abcdef"];
    const { bytes } = await file(qemu, ["x-ignore-shared", "validate-uuid"], [...memory, ...uuid]);
    const { fault, ram, elements } = check({ forward: bytes, back: Buffer.alloc(0) });
    assert.equal(fault, undefined);
    const names = elements.flatMap((e) =>
      e.type === "configuration" ? e.subsections.map((s) => s.name) : [],
    );
    assert.deepEqual(names, ["configuration/capabilities", "configuration/uuid"]);
    assert.equal(ram.blocks.find(({ name }) => name === "m0")?.gpa, 0);
    assert.ok(ram.blocks.every(({ gpa }) => gpa !== undefined));
  });

  test(`${qemu.version}: with virtio-mem the stream is read, or passes as transparent bytes from its early section`, async () => {
    const memory = ["-object", "memory-backend-ram,id=v0,size=64M", "-device", "virtio-mem-pci,memdev=v0"];
    const { bytes } = await file(qemu, [], memory);
    const { recorder, fault } = check({ forward: bytes, back: Buffer.alloc(0) });
    assert.equal(fault, undefined);
    const transparent = recorder.elements().some(({ type }) => type === "transparent");
    assert.equal(transparent, recorder.pages.length === 0);
  });
}
