/**
 * Goal: a source QEMU that resumes an interrupted post-copy towards us hears that every page has arrived, and completes.
 * Method: QEMU's words on a real socket, in one piece and byte by byte. On real QEMUs: lab/faults, "handover/kill target QEMU".
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { listenAsCompleter } from "../../src/relay/mod.ts";
import {
  Command,
  concat,
  emptyEnd,
  encodeCommand,
  encodeEof,
  encodePing,
  encodeRecvBitmap,
  type ReturnMessage,
  ReturnPathReader,
} from "../../src/stream/mod.ts";

const folder = mkdtempSync(join(tmpdir(), "gw-completer-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const section = {
  id: 2,
  blocks: [
    { index: 0, name: "pc.ram", bytes: 130 * 4096 },
    { index: 1, name: "/rom@etc/acpi/tables", bytes: 64 * 4096 },
  ],
};
const WORDS = [
  concat([
    encodeCommand(Command.openReturnPath),
    encodePing(1),
    ...section.blocks.map(({ name }) => encodeRecvBitmap(name)),
  ]),
  encodeCommand(Command.postcopyResume),
  concat([emptyEnd(section.id), encodeEof()]),
];

for (const bytewise of [false, true])
  test(`every page is there, and the migration completes (${bytewise ? "byte by byte" : "in one piece"})`, async () => {
    const listener = await listenAsCompleter(join(folder, `${bytewise}.sock`), section);
    const socket = net.connect(listener.path);
    const heard: ReturnMessage[] = [];
    const reader = new ReturnPathReader(
      { message: (message) => heard.push(message), bytes: () => undefined },
      { blocks: section.blocks },
    );
    let rest: Buffer = Buffer.alloc(0);
    const until = async (count: number): Promise<void> => {
      while (heard.length < count) {
        const [bytes] = (await once(socket, "data")) as [Buffer];
        const all = Buffer.concat([rest, bytes]);
        rest = all.subarray(reader.push(all, 0, all.length));
      }
    };
    for (const [index, words] of WORDS.entries()) {
      if (bytewise) for (const byte of words) socket.write(Uint8Array.of(byte));
      else socket.write(words);
      await until(index + 2);
    }
    assert.deepEqual(heard, [
      { type: "bitmap", block: "pc.ram", bits: new Uint8Array(24).fill(0xff) },
      { type: "bitmap", block: "/rom@etc/acpi/tables", bits: new Uint8Array(8).fill(0xff) },
      { type: "resumeAck", value: 1 },
      { type: "shut", status: 0 },
    ]);
    socket.end();
    await once(socket, "close");
    await listener.close();
  });

test("who says something else is sent away", async () => {
  const listener = await listenAsCompleter(join(folder, "other.sock"), section);
  const socket = net.connect(listener.path);
  socket.write("GET / HTTP/1.1\r\n\r\n");
  socket.resume();
  await once(socket, "close");
  await listener.close();
});
