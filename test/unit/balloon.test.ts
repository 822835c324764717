/**
 * Goal: a guest is made smaller by what it can spare and no further, gets back at once what it lacks, and a balloon's
 * features are part of the machine.
 * Method: the rules with figures chosen by hand; the loops against a model of a guest that keeps some memory in use and
 * gives pages as Linux's driver does (all that are free, then no more). The model proves nothing about moves: those are in
 * test/qemu/balloon.test.ts.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { keep } from "../../src/agent/balloon/keeper.ts";
import { balloonMode, setBalloonMode } from "../../src/agent/balloon/mode.ts";
import { type BalloonDevice, shrink } from "../../src/agent/balloon/shrink.ts";
import { systemClock } from "../../src/agent/clock.ts";
import { isPressed, nextSmaller, relievedSize, reserveBytes } from "../../src/migration/mod.ts";
import { qemuArgs } from "../../src/qemu/args.ts";
import { balloonOf, type GuestFigures, parseResolvedSpec, parseSpec, vmPaths } from "../../src/qemu/mod.ts";

const MIB = 2 ** 20;
const RAM = 512 * MIB;

const scratch = mkdtempSync(join(tmpdir(), "godwit-balloon-"));
after(() => rmSync(scratch, { recursive: true }));

function figures(availableMib: number | null, more: Partial<GuestFigures> = {}): GuestFigures {
  return {
    totalBytes: RAM,
    freeBytes: null,
    availableBytes: availableMib === null ? null : availableMib * MIB,
    cacheBytes: null,
    majorFaults: 0,
    swapOutBytes: 0,
    ...more,
  };
}

/** A guest that uses so much and gives the rest, but never more than down to `leastMib`. */
class Model implements BalloonDevice {
  usedMib: number;
  leastMib: number;
  answers = true;
  size = RAM;
  majorFaults = 0;
  readonly orders: number[] = [];

  constructor({ usedMib, leastMib = 0 }: { usedMib: number; leastMib?: number }) {
    this.usedMib = usedMib;
    this.leastMib = leastMib;
  }

  async ask(): Promise<GuestFigures | null> {
    if (!this.answers) return null;
    return figures(this.size / MIB - this.usedMib, { majorFaults: this.majorFaults });
  }

  async resize(bytes: number): Promise<void> {
    this.orders.push(bytes);
    this.size = Math.min(RAM, Math.max(bytes, this.leastMib * MIB));
  }

  async sizeBytes(): Promise<number> {
    return this.size;
  }
}

describe("the rules of a balloon", () => {
  it("leave a tenth of RAM, and never less than 32 MiB", () => {
    assert.equal(reserveBytes(4096 * MIB), Math.floor(409.6 * MIB));
    assert.equal(reserveBytes(160 * MIB), 32 * MIB);
  });

  it("take an eighth of RAM at once, at the end only what is above the reserve, and nothing for a few MiB", () => {
    const next = (availableMib: number) =>
      nextSmaller({ ramBytes: RAM, sizeBytes: RAM, memory: figures(availableMib) });
    assert.equal(next(400), RAM - RAM / 8);
    assert.equal(next(80), RAM - 80 * MIB + reserveBytes(RAM));
    assert.equal(next(54), null);
    assert.equal(next(10), null);
  });

  it("take nothing from a guest that does not say what it has; an old driver's free memory will do", () => {
    const memory = figures(null);
    assert.equal(nextSmaller({ ramBytes: RAM, sizeBytes: RAM, memory }), null);
    const old = { ...memory, freeBytes: 400 * MIB };
    assert.equal(nextSmaller({ ramBytes: RAM, sizeBytes: RAM, memory: old }), RAM - RAM / 8);
  });

  it("see pressure in little memory, in swapping and in programs that are read again", () => {
    assert.equal(isPressed(RAM, figures(200), figures(300)), false);
    assert.equal(isPressed(RAM, figures(25), null), true);
    assert.equal(isPressed(RAM, figures(200, { swapOutBytes: 4096 }), figures(200)), true);
    assert.equal(isPressed(RAM, figures(200, { majorFaults: 50 }), figures(200)), false);
    assert.equal(isPressed(RAM, figures(200, { majorFaults: 500 }), figures(200)), true);
    assert.equal(isPressed(RAM, figures(200, { majorFaults: 500 }), null), false, "since its boot");
  });

  it("give back more than what is lacking, so that the guest rests, and never more than there is", () => {
    const sizeBytes = 100 * MIB;
    const memory = figures(10);
    const most = relievedSize({ ramBytes: RAM, sizeBytes, memory }, RAM);
    assert(10 * MIB + most - sizeBytes > reserveBytes(RAM));
    assert.equal(relievedSize({ ramBytes: RAM, sizeBytes, memory }, 110 * MIB), 110 * MIB);
    assert.equal(relievedSize({ ramBytes: RAM, sizeBytes: RAM, memory }, RAM), RAM);
  });
});

describe("shrinking a guest for a move", () => {
  const options = { vm: "a", ramBytes: RAM, clock: systemClock, mayGoOn: () => true };

  it("takes all that it can spare but the reserve, in steps", async () => {
    const guest = new Model({ usedMib: 100 });
    const told: number[] = [];
    const size = await shrink(guest, { ...options, told: (bytes) => told.push(bytes) });
    const idealBytes = 100 * MIB + reserveBytes(RAM);
    assert(size >= idealBytes && size <= idealBytes + 4 * MIB, `${size / MIB} MiB`);
    assert(told.length >= 5 && told.every((bytes, i) => i === 0 || bytes < told[i - 1]!));
  });

  it("leaves a guest alone that has nothing to spare", async () => {
    const guest = new Model({ usedMib: 470 });
    assert.equal(await shrink(guest, options), RAM);
    assert.deepEqual(guest.orders, []);
  });

  it("that falls short in the middle gets back what it lacks", async () => {
    const guest = new Model({ usedMib: 100 });
    const told = (bytes: number) => {
      if (bytes < 400 * MIB) guest.usedMib = 370;
    };
    const size = await shrink(guest, { ...options, told });
    assert(size >= 370 * MIB + reserveBytes(RAM), `${size / MIB} MiB`);
    assert.equal(guest.orders.at(-1), size);
  });

  it("that gives no more is left where it stands, so that nothing is taken later behind our back", async () => {
    const guest = new Model({ usedMib: 100, leastMib: 300 });
    assert.equal(await shrink(guest, options), 300 * MIB);
    assert.equal(guest.orders.at(-1), 300 * MIB);
  });

  it("ends at once when the move does", async () => {
    const guest = new Model({ usedMib: 100 });
    let going = true;
    const told = () => {
      going = false;
    };
    await shrink(guest, { ...options, mayGoOn: () => going, told });
    assert.equal(guest.orders.length, 1);
  });

  it("is refused when the guest's driver says nothing, before anything was taken", async () => {
    const guest = new Model({ usedMib: 100 });
    guest.answers = false;
    await assert.rejects(shrink(guest, options), { code: "BALLOON_SILENT" });
    assert.deepEqual(guest.orders, []);
  });
});

describe("a balloon that follows its guest", () => {
  const at = (nowMs: number, more = {}) => ({
    ...{ ramBytes: RAM, mostBytes: RAM, mayTake: true, nowMs },
    ...more,
  });

  it("takes a step each five seconds, down to the reserve", async () => {
    const guest = new Model({ usedMib: 100 });
    const kept = { memory: null, takeAfterMs: 0 };
    for (let second = 0; second < 60; second++) await keep(guest, kept, at(second * 1_000));
    assert(guest.size <= 100 * MIB + reserveBytes(RAM) + 4 * MIB);
    assert(guest.orders.length >= 5 && guest.orders.length <= 12);
  });

  it("gives back at the next look, and then takes nothing for half a minute", async () => {
    const guest = new Model({ usedMib: 100 });
    const kept = { memory: null, takeAfterMs: 0 };
    guest.size = 160 * MIB;
    guest.usedMib = 150;
    assert.notEqual(await keep(guest, kept, at(0)), null);
    assert(guest.size >= 150 * MIB + reserveBytes(RAM));
    guest.usedMib = 50;
    assert.equal(await keep(guest, kept, at(29_000)), null);
    assert.notEqual(await keep(guest, kept, at(31_000)), null);
  });

  it("only guarded gives back what a move took, and takes nothing", async () => {
    const guest = new Model({ usedMib: 100 });
    guest.size = 400 * MIB;
    const kept = { memory: null, takeAfterMs: 0 };
    assert.equal(await keep(guest, kept, at(0, { mayTake: false })), null);
    guest.usedMib = 390;
    assert.equal(await keep(guest, kept, at(1, { mayTake: false, mostBytes: 420 * MIB })), 420 * MIB);
  });

  it("is remembered in the VM's folder", () => {
    const vm = { dir: scratch };
    assert.equal(balloonMode(vm), "off");
    setBalloonMode(vm, "auto");
    assert.equal(balloonMode(vm), "auto");
    setBalloonMode(vm, "off");
    setBalloonMode(vm, "off");
    assert.equal(balloonMode(vm), "off");
  });
});

describe("a balloon in a spec", () => {
  const resolved = (balloon: unknown) =>
    parseResolvedSpec({
      ...parseSpec({ name: "a", memory: "64MiB", balloon: balloon as boolean }),
      ...{ accel: "tcg", cpu: "Nehalem-v1", machine: "pc-q35-7.2" },
      uuid: "8a2b2c1e-1111-4222-8333-444455556666",
    });
  const devices = (balloon: unknown) =>
    qemuArgs(resolved(balloon), vmPaths("/run/a"), "run").filter((arg) => /balloon/.test(arg));

  it("is there or not, as in the specs of before", () => {
    assert.deepEqual(devices(false), []);
    assert.deepEqual(devices(true), ["virtio-balloon-pci,id=balloon0"]);
    assert.equal(balloonOf(resolved(false)), null);
    assert.deepEqual(balloonOf(resolved(true)), { hints: false, reporting: false, deflateOnOom: false });
  });

  it("can do more where the spec says so; hints need a thread of their own", () => {
    assert.deepEqual(devices({ hints: true }), [
      "iothread,id=balloon-hints",
      "virtio-balloon-pci,id=balloon0,free-page-hint=on,iothread=balloon-hints",
    ]);
    assert.deepEqual(devices({ reporting: true, deflateOnOom: true }), [
      "virtio-balloon-pci,id=balloon0,free-page-reporting=on,deflate-on-oom=on",
    ]);
    assert.throws(() => devices({ hint: true }), { code: "SPEC_INVALID" });
  });
});
