/**
 * Goal: each load of the bench does its work in a real guest beside a clean oracle, and clients outside keep their
 * connections across a move and a pause, with every answer right.
 * Method: the guests that set-up made, under real QEMU. Loads within the guest are booted and heard; those that serve
 * clients run on a stage and are paused, and one of them is moved by stock QEMU: what a client does about that is the same
 * for all.
 */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { GuestConsole } from "../../bench/homes/console.ts";
import { loadNamed } from "../../bench/loads/mod.ts";
import { openStage } from "../../bench/stage/mod.ts";
import type { HomeGuest, LoadClient } from "../../bench/types.ts";
import { canMakeNamespaces } from "../../lab/host/mod.ts";
import { artefacts, GuestOracle } from "../../lab/mod.ts";
import { move, type RigGuest, startGuest, startTarget, until, verified } from "../../lab/rig/mod.ts";

const { qemus, loads } = artefacts();
const system = qemus[0]!;
const newest = qemus.at(-1)!;
const LACKING = loads === null ? "needs the guests made of Debian bookworm's packages" : false;
const WARM_MS = 120_000;

/** The oracle of a guest, with its lines for a load as a home hands them on. */
class Watched extends GuestOracle {
  readonly #console = new GuestConsole();
  readonly guest: HomeGuest = {
    index: 0,
    onLine: (listener) => this.#console.onLine(listener),
    say: () => assert.fail("no load says anything to the workload"),
    verified: (ms) => verified(this, ms),
  };

  override feed(chunk: string, nowMs: number): ReturnType<GuestOracle["feed"]> {
    this.#console.feed(chunk, nowMs);
    return super.feed(chunk, nowMs);
  }
}

function guestOf(name: string, memoryMib: number, address: string | null): Omit<RigGuest, "qemu"> {
  const load = loadNamed(name);
  return {
    memoryMib,
    workload: { setMib: 8, pagesPerSec: 100 },
    initrd: load.initrd,
    bootMs: WARM_MS,
    append: load.append(address),
    disks: (load.disks ?? []).map((path) => ({ path, format: "raw", readOnly: true })),
  };
}

/** Waits until the client has seen so many operations, and returns what was lost meanwhile. */
async function seen(
  client: LoadClient,
  operations: number,
): Promise<{ requests: number; connections: number }> {
  let count = 0;
  const lost = { requests: 0, connections: 0 };
  await until(
    async () => {
      const taken = await client.take();
      for (const [i, endedAtMs] of taken.endedAtMs.entries()) {
        assert.ok(taken.latencyMs[i]! >= 0 && endedAtMs > performance.timeOrigin);
        assert.ok(i === 0 || endedAtMs >= taken.endedAtMs[i - 1]!, "in order of their ends");
      }
      count += taken.endedAtMs.length;
      lost.requests += taken.requestsLost ?? 0;
      lost.connections += taken.connectionsLost ?? 0;
      return count >= operations;
    },
    WARM_MS,
    `${operations} operations`,
  );
  return lost;
}

describe("loads within the guest", { concurrency: 2, skip: LACKING }, () => {
  const cases = [
    { name: "sqlite", memoryMib: 128, qemu: system },
    { name: "compile", memoryMib: 128, qemu: newest },
    { name: "stress-ng", memoryMib: 192, qemu: system },
    { name: "pagecache", memoryMib: 192, qemu: newest },
  ];
  for (const { name, memoryMib, qemu } of cases) {
    test(`${name}: works beside a clean oracle`, async (t) => {
      const load = loadNamed(name);
      const watched = new Watched();
      const rig = await startGuest({ ...guestOf(name, memoryMib, null), qemu }, watched);
      t.after(() => rig.stop());
      const client = await load.start({ guest: watched.guest, network: null });
      assert.equal(client === null, load.unit === null);
      if (client !== null) await seen(client, 3);
      await client?.stop();
      await verified(watched);
    });
  }
});

describe("loads with clients outside", {
  concurrency: 2,
  skip: LACKING || (canMakeNamespaces() ? false : "needs the right to make namespaces"),
}, () => {
  test("redis: the same connections live on after a move and after a pause, nothing is lost", (t) =>
    livesOn(t, { name: "redis", operations: 100, moves: true }));
  test("nginx: the same connections live on after a pause, nothing is lost", (t) =>
    livesOn(t, { name: "nginx", operations: 50, moves: false }));
});

interface Serving {
  readonly name: "redis" | "nginx";
  /** Asked for at each stage. */
  readonly operations: number;
  readonly moves: boolean;
}

async function livesOn(t: TestContext, { name, operations, moves }: Serving): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const stage = await openStage({ link: { bytesPerSec: 125e6, latencyMs: 0, jitterMs: 0 }, guests: 1 });
  stack.defer(() => stage.close());
  const { a, b } = stage.hosts;
  const nic = stage.nic(0)!;
  const watched = new Watched();
  const guest = guestOf(name, 192, nic.address);
  const nics = [{ type: "tap" as const, ifname: nic.ifname, mac: nic.mac }];
  const source = await startGuest({ ...guest, nics, qemu: a.qemu(newest) }, watched);
  stack.defer(() => source.stop());
  const network = { address: nic.address, client: stage.client! };
  const client = (await loadNamed(name).start({ guest: watched.guest, network }))!;
  stack.defer(() => client.stop());
  assert.deepEqual(await seen(client, operations), { requests: 0, connections: 0 });

  let home = source;
  if (moves) {
    home = await startTarget(source, b.qemu(newest), watched);
    stack.defer(() => home.stop());
    const [way, port] = [stage.way("a"), stage.way("a").ports.stock[0]!];
    await move(source, home, { to: `tcp:${way.address}:${port}`, at: `tcp:${b.address}:${port}` });
    await source.stop();
    assert.deepEqual(await seen(client, operations), { requests: 0, connections: 0 }, "after the move");
  }

  await client.pause();
  await client.take();
  process.kill(home.vm.process!.pid, "SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.equal((await client.take()).endedAtMs.length, 0, "no requests while it is paused");
  process.kill(home.vm.process!.pid, "SIGCONT");
  await client.resume();
  assert.deepEqual(await seen(client, operations), { requests: 0, connections: 0 }, "after the pause");
  await verified(watched);
  t.diagnostic(`${name}: ${watched.passesOk} passes of the oracle`);
}
