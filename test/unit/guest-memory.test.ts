/**
 * Goal: where QEMU does not say where a RAM block is, it is found by its size only when that leaves no doubt.
 * Method: what QEMU 7.2 and 10.0 and the kernel print, cut down; real ones are in test/qemu/guest-memory.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromMappings, parseMappings, parseRamBlocks } from "../../src/qemu/guestMemory.ts";

const OLD = [
  "              Block Name    PSize              Offset               Used              Total",
  "                  pc.ram    4 KiB  0x0000000000000000 0x0000000008002000 0x0000000008002000",
  "    /rom@etc/acpi/tables    4 KiB  0x00000000080c0000 0x0000000000020000 0x0000000000200000",
  "0000:00:02.0/virtio-net-pci.rom    4 KiB  0x0000000008040000 0x0000000000040000 0x0000000000040000",
  "",
].join("\r\n");
const NEW = OLD.replace("0x0000000008002000\r", "0x0000000008002000 0x00007f0cb3e00000  rw\r");
const MAPS = [
  "7f879be00000-7f87a3e02000 rw-p 00000000 00:00 0 ",
  "7f87a3e02000-7f87a3e03000 ---p 00000000 00:00 0 ",
  "7f87aa600000-7f87aa800000 rw-p 00000000 00:00 0 ",
  "7f87aa800000-7f87aa801000 ---p 00000000 00:00 0 ",
  "7f87ac000000-7f87ebfff000 rwxp 00000000 00:00 0 ",
  "7f87f0400000-7f87f0440000 rw-p 00000000 00:00 0 ",
  "7f87f0440000-7f87f0441000 ---p 00000000 00:00 0 ",
  "7f87f0500000-7f87f0540000 r--p 00000000 00:00 0 ",
  "7f87f05f0000-7f87f0630000 rw-p 00000000 00:00 0 ",
  "7f87f0630000-7f87f0631000 ---p 00000000 00:00 0 ",
].join("\n");

const addresses = (text: string, maps: string) =>
  fromMappings(parseRamBlocks(text), parseMappings(maps)).map(({ address }) => address);

test("blocks are read from QEMU's list, with their addresses where it has them", () => {
  const [ram, tables] = parseRamBlocks(OLD);
  assert.deepEqual(ram, { name: "pc.ram", usedBytes: 0x8002000, totalBytes: 0x8002000, address: undefined });
  assert.equal(tables?.usedBytes, 0x20000);
  assert.deepEqual(
    parseRamBlocks(NEW).map(({ address }) => address),
    [0x7f0cb3e00000, undefined, undefined],
  );
});

test("the only aligned mapping of a block's size is taken", () => {
  assert.deepEqual(addresses(OLD, MAPS), [0x7f879be00000, 0x7f87aa600000, 0x7f87f0400000]);
});

test("two mappings or two blocks of one size are not told apart", () => {
  const twin = [
    "7f87f0800000-7f87f0840000 rw-p 00000000 00:00 0 ",
    "7f87f0840000-7f87f0841000 ---p 00000000 00:00 0 ",
  ].join("\n");
  assert.equal(addresses(OLD, `${MAPS}\n${twin}`)[2], undefined);
  const two = `${OLD}${OLD.split("\r\n")[3]!.replace("02.0", "03.0")}\r\n`;
  assert.deepEqual(addresses(two, MAPS).slice(2), [undefined, undefined]);
});

test("a mapping without QEMU's guard page behind it is something else", () => {
  const library = [
    "7f87f0800000-7f87f0840000 rw-p 00020000 fe:00 5595431  /usr/lib/x86_64-linux-gnu/libibverbs.so.1",
    "7f87f0840000-7f87f0844000 r--p 00000000 fe:00 5595540  /usr/lib/x86_64-linux-gnu/librdmacm.so.1",
    "7f87f0a00000-7f87f0a40000 rw-p 00000000 00:00 0 ",
    "7f87f0a42000-7f87f0a43000 ---p 00000000 00:00 0 ",
  ].join("\n");
  assert.deepEqual(addresses(OLD, `${MAPS}\n${library}`), addresses(OLD, MAPS));
});
