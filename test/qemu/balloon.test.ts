/**
 * Goal: memory that a guest has freed, and page cache that it could drop, does not cross: by hints of the guest, or by a
 * balloon that is blown up before the move and let down after it, wherever the guest then is. A balloon in the mode auto
 * takes what the guest does not need and gives it back at need.
 * Method: agents, relays and QEMUs, the lab guest and its oracle. Before each move the guest fills memory with
 * incompressible bytes, frees it, and reads a disk of random bytes through its page cache; what then crosses is compared
 * with a move of the same guest that has neither (QEMU asks for no hints where post-copy is possible).
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { tcgMemory } from "../../lab/guest/mod.ts";
import { artefacts } from "../../lab/setup/mod.ts";
import type { BalloonBody, MigrationOrderInput } from "../../src/agent/mod.ts";
import type { Report } from "../../src/migration/mod.ts";
import { guestSpec, Host, until, verified } from "../tools/pair.ts";

const MIB = 2 ** 20;
const RAM_MIB = 192;
const FILL_MIB = 80;
const CACHE_MIB = 24;
/** The least that this guest can do with is about 60 MiB. */
const SMALL_MIB = 104;
const WAIT_MS = 90_000;
/** With it both sides are ready for post-copy, and there are no hints. */
const NO_HINTS = { timeoutMs: 600_000, onTimeout: "postcopy" } as const;

const scratch = mkdtempSync(join(tmpdir(), "gw-balloon-"));
const hosts: Host[] = [];
after(async () => {
  await Promise.all(hosts.map((host) => host.end()));
  rmSync(scratch, { recursive: true, force: true });
});
before(() => writeFileSync(join(scratch, "disk"), randomBytes(CACHE_MIB * MIB)));

/** A guest with a balloon, and the two hosts between which it goes. */
class Guest {
  here: Host;
  there: Host;

  private constructor(here: Host, there: Host) {
    this.here = here;
    this.there = there;
  }

  static async start(qemu: ReturnType<typeof artefacts>["qemus"][number]): Promise<Guest> {
    const [here, there] = [await Host.start({ name: "a", qemu }), await Host.start({ name: "b", qemu })];
    hosts.push(here, there);
    await here.call("POST", "/v1/vms", {
      ...guestSpec({ name: "guest", setMib: 8, pagesPerSec: 100 }),
      memory: tcgMemory(RAM_MIB).replace("K", "KiB"),
      balloon: { hints: true },
      disks: [{ path: join(scratch, "disk"), format: "raw", readOnly: true }],
    });
    await verified(here, "guest", 1);
    return new Guest(here, there);
  }

  balloon(order?: object): Promise<BalloonBody> {
    return this.here.call(order ? "POST" : "GET", "/v1/vms/guest/balloon", order);
  }

  say(text: string): Promise<unknown> {
    return this.here.call("POST", "/v1/vms/guest/console", { text: `${text}\n` });
  }

  async says(what: string, when: (guest: NonNullable<BalloonBody["guest"]>) => boolean): Promise<void> {
    await until(
      async () => {
        const { guest } = await this.balloon();
        return guest !== null && when(guest);
      },
      what,
      WAIT_MS,
    );
  }

  /** Its free memory is not zero, and a part of its memory is page cache. */
  async useMemory(): Promise<void> {
    const free = (await this.balloon()).guest?.freeBytes ?? 0;
    await this.say(`fill ${FILL_MIB}`);
    await this.says("filled", ({ freeBytes }) => (freeBytes ?? free) < free - (FILL_MIB - 2) * MIB);
    await this.say("free");
    await this.says("freed", ({ freeBytes }) => (freeBytes ?? 0) > free - 4 * MIB);
    await this.say(`cache ${CACHE_MIB}`);
    await this.says("cached", ({ cacheBytes }) => (cacheBytes ?? 0) > CACHE_MIB * MIB);
  }

  async move(order: Partial<MigrationOrderInput>): Promise<Report> {
    const report = await this.here.migrate({ vm: "guest", to: this.there.peer, engine: "plain", ...order });
    assert.deepEqual([report.error, report.status, report.equal], [null, "completed", true]);
    [this.here, this.there] = [this.there, this.here];
    return report;
  }

  /** The balloon holds nothing (any more). */
  async isWhole(): Promise<void> {
    await until(
      async () => {
        const { sizeBytes, ramBytes } = await this.balloon();
        return sizeBytes === ramBytes;
      },
      `the guest to have all of its memory at ${this.here.name}`,
      WAIT_MS,
    );
  }
}

const { qemus } = artefacts();
const newest = qemus.at(-1)!;

test(`QEMU ${newest.version}: what need not move does not, and the guest has it back`, async (t) => {
  const guest = await Guest.start(newest);

  await t.test("a cancelled move: what the balloon took is given back at the source", async () => {
    const order = { vm: "guest", to: guest.there.peer, balloon: true, bandwidthBytesPerSec: 1_000_000 };
    const id = await guest.here.begin(order);
    const crosses = async () => ((await guest.here.status(id)).streamBytesPerSec ?? 0) > 0;
    await until(crosses, "memory crosses", WAIT_MS);
    const { sizeBytes, ramBytes } = await guest.balloon();
    assert(sizeBytes < ramBytes - 32 * MIB, `${sizeBytes} bytes in the middle of the move`);
    await guest.here.call("POST", `/v1/migrations/${id}/cancel`);
    assert.equal((await guest.here.report(id)).status, "aborted");
    await guest.isWhole();
  });

  await guest.useMemory();
  const whole = (await guest.move(NO_HINTS)).wireBytes.forward;
  assert(whole > FILL_MIB * MIB, "what was freed crosses when nothing is done about it");

  await t.test("hints: freed memory does not cross", async () => {
    await guest.useMemory();
    const bytes = (await guest.move({})).wireBytes.forward;
    assert(bytes < 0.75 * whole, `${bytes} bytes of ${whole}`);
  });

  await t.test("a balloon: freed memory and page cache do not cross, and are given back there", async () => {
    await guest.useMemory();
    const bytes = (await guest.move({ ...NO_HINTS, balloon: true })).wireBytes.forward;
    assert(bytes < 0.6 * whole, `${bytes} bytes of ${whole}`);
    await guest.isWhole();
  });

  await t.test("by itself it takes what the guest does not need, and gives back at need", async () => {
    await guest.balloon({ mode: "auto" });
    const taken = async () => (await guest.balloon()).sizeBytes <= (RAM_MIB - 16) * MIB;
    await until(taken, "it to be taken from", WAIT_MS);
    const small = await guest.balloon({ mode: "off", sizeBytes: SMALL_MIB * MIB });
    assert.deepEqual([small.mode, small.sizeBytes], ["off", SMALL_MIB * MIB]);
    await guest.balloon({ mode: "auto" });
    await guest.say(`fill ${Math.floor((small.guest?.availableBytes ?? 0) / MIB) - 8}`);
    const given = async () => (await guest.balloon()).sizeBytes > (SMALL_MIB + 8) * MIB;
    await until(given, "it to be given back", WAIT_MS);
    await guest.balloon({ mode: "off" });
    await guest.isWhole();
    await verified(guest.here, "guest", 2);
  });
});

for (const qemu of qemus.slice(0, -1)) {
  test(`QEMU ${qemu.version}: a balloon and hints together, there and let down again`, async () => {
    const guest = await Guest.start(qemu);
    await guest.useMemory();
    const bytes = (await guest.move({ balloon: true })).wireBytes.forward;
    assert(bytes < (FILL_MIB + CACHE_MIB) * MIB, `${bytes} bytes`);
    await guest.isWhole();
    await verified(guest.here, "guest", 2);
  });
}
