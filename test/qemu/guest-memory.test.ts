/**
 * Goal: what is read of a guest's memory from outside of QEMU is what QEMU itself says is there.
 * Method: a stopped lab guest on each QEMU; its RAM, from both of the places where a piece of it is mapped, and its
 * firmware are compared with `pmemsave`, and the firmware with the file that it was made from. Small blocks that the guest
 * has not mapped are looked at for the signs of what they are.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { artefacts, GuestOracle } from "../../lab/mod.ts";
import { startGuest } from "../../lab/rig/mod.ts";
import { isGodwitError } from "../../src/errors/mod.ts";
import { locateGuestMemory } from "../../src/qemu/mod.ts";
import { SourceMemory } from "../../src/relay/mod.ts";

const MIB = 2 ** 20;
const BIOS_GPA = 0xfffc0000;

for (const qemu of artefacts().qemus)
  test(`guest memory of QEMU ${qemu.version} read from outside`, { timeout: 90_000 }, async () => {
    const oracle = new GuestOracle();
    const rig = await startGuest({ qemu, memoryMib: 128, workload: { setMib: 16 } }, oracle);
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rig.stop());
    const { monitor, process } = rig.vm;
    assert(process !== null);
    await monitor.execute("stop");
    const map = await locateGuestMemory(monitor, process);
    const memory = new SourceMemory(map);
    stack.defer(() => memory.close());

    const read = (block: string, offset: number, bytes: number): Buffer => {
      const into = Buffer.alloc(bytes);
      memory.read(block, offset, into);
      return into;
    };
    const saved = async (gpa: number, bytes: number): Promise<Buffer> => {
      const path = join(rig.dir, "saved");
      await monitor.execute("human-monitor-command", {
        "command-line": `pmemsave 0x${gpa.toString(16)} ${bytes} "${path}"`,
      });
      return readFileSync(path);
    };
    const sizeOf = (name: string) => map.blocks.find((block) => block.name === name)?.usedBytes ?? 0;

    assert(sizeOf("pc.ram") >= 128 * MIB);
    for (const [offset, bytes] of [
      [0, 0x80000],
      [16 * MIB, 32 * MIB],
      [sizeOf("pc.ram") - 0x2000, 0x2000],
    ] as const) {
      const ours = read("pc.ram", offset, bytes);
      assert(ours.equals(await saved(offset, bytes)), `${bytes} bytes at ${offset} are as QEMU saves them`);
      if (bytes > MIB)
        assert(
          ours.some((byte) => byte !== 0),
          "a guest at work has written there",
        );
    }
    const bios = read("pc.bios", 0, sizeOf("pc.bios"));
    assert(bios.equals(await saved(BIOS_GPA, bios.length)), "the firmware is as QEMU saves it");
    assert(bios.includes("SeaBIOS"), "and is one");
    // Not mapped by the guest: only the addresses that QEMU says, or the sizes of its mappings, lead there.
    assert.equal(read("/rom@etc/acpi/rsdp", 0, 8).toString("latin1"), "RSD PTR ");
    assert(read("/rom@etc/acpi/tables", 0, sizeOf("/rom@etc/acpi/tables")).includes("FACP"));

    const closed = (error: unknown) => isGodwitError(error) && error.code === "GUEST_MEMORY_CLOSED";
    assert.throws(() => read("no.ram", 0, 1), closed);
    assert.throws(() => read("pc.bios", sizeOf("pc.bios") - 1, 2), closed);
    await rig.stop();
    assert.throws(() => read("pc.ram", 0, 1), closed, "a process that has ended has no memory");
    assert.throws(() => new SourceMemory(map), closed);
  });
