/**
 * Goal: a running guest crosses by each strategy and nothing of it is lost; what cannot cross is refused by name, and
 * what goes wrong before the commit leaves it running at the source.
 * Method: two agents in this process as two hosts, real relays and real QEMUs, the lab guest's own oracle as the judge:
 * after each move it has to get through its whole working set once from the beginning (the second pass that ends, since
 * the first one may have begun before the move).
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { artefacts, type QemuArtefact } from "../../lab/setup/mod.ts";
import { type Report, STRATEGIES } from "../../src/migration/mod.ts";
import { guestSpec, Host, startGuest, until, verified } from "../tools/pair.ts";

/** Slow enough that there is time to do something to a move under way. */
const SLOW_BYTES_PER_SEC = 6_000_000;
const { qemus } = artefacts();

interface Pair {
  readonly a: Host;
  readonly b: Host;
}

/** Two hosts for the tests of one describe block; what the agents wrote is shown when a test fails. */
function pair(source: QemuArtefact, target: QemuArtefact): () => Pair {
  let hosts: Pair;
  before(async () => {
    hosts = {
      a: await Host.start({ name: "a", qemu: source }),
      b: await Host.start({ name: "b", qemu: target }),
    };
  });
  after(async () => {
    await hosts.a.end();
    await hosts.b.end();
  });
  return () => hosts;
}

function assertMoved(report: Report, from: string, to: string): void {
  assert.equal(report.error, null);
  assert.equal(report.status, "completed");
  assert.equal(report.equal, true, "both ends hold the same memory");
  assert.deepEqual(report.qemu, { source: from, target: to });
  assert(report.downtimeMs !== null && report.downtimeMs > 0);
  assert(report.blackoutMs !== null && report.blackoutMs >= 10);
  assert(report.pages.sent === report.pages.zero + report.pages.raw + report.pages.encoded);
  assert(report.ramBytes >= 160 * 2 ** 20 && report.pages.sent * 4096 >= report.ramBytes);
  assert(report.wireBytes.forward >= report.pages.raw * 4096);
  assert(report.totalTimeMs >= report.downtimeMs);
  for (const bytes of [report.rssBytes.source, report.rssBytes.target])
    assert(bytes !== null && bytes < 200e6);
}

async function assertOnlyAt(name: string, here: Host, there: Host): Promise<void> {
  assert.deepEqual(
    (await there.vms()).map((vm) => vm.name),
    [],
    `nothing is left at ${there.name}`,
  );
  const vm = await here.vm(name);
  assert.deepEqual([vm.status, vm.incoming], ["running", false]);
  await until(async () => (await here.vm(name)).busyWith === null, "the VM is free again", 10_000);
}

for (const qemu of qemus) {
  describe(`QEMU ${qemu.version} to itself`, () => {
    const hosts = pair(qemu, qemu);

    test("there and back by every strategy, the oracle clean", async () => {
      let [from, to] = [hosts().a, hosts().b];
      await startGuest(from, { name: "guest" });
      for (const strategy of STRATEGIES) {
        const report = await from.migrate({ vm: "guest", to: to.peer, strategy });
        assertMoved(report, qemu.version, qemu.version);
        assert.equal(report.strategy, strategy);
        if (strategy === "postcopy") assert(report.passes !== null && report.passes <= 3);
        await assertOnlyAt("guest", to, from);
        await verified(to, "guest", 2);
        [from, to] = [to, from];
      }
    });

    test("post-copy told by the user in the middle of a pre-copy that does not end by itself", async () => {
      const [from, to] = (await hosts().a.vms()).length > 0 ? [hosts().a, hosts().b] : [hosts().b, hosts().a];
      const order = {
        vm: "guest",
        to: to.peer,
        bandwidthBytesPerSec: SLOW_BYTES_PER_SEC,
        downtimeLimitMs: 1,
      };
      const id = await from.begin({
        ...order,
        strategy: "precopy",
        timeoutMs: 600_000,
        onTimeout: "postcopy",
      });
      await until(async () => (await from.status(id)).phase === "precopy", "pre-copy", 30_000);
      await sleep(1_000);
      await from.call("POST", `/v1/migrations/${id}/postcopy`);
      await until(async () => (await from.status(id)).phase === "postcopy", "post-copy", 30_000);
      await assert.rejects(from.call("POST", `/v1/migrations/${id}/cancel`), { code: "ORDER_TOO_LATE" });
      const report = await from.report(id);
      assertMoved(report, qemu.version, qemu.version);
      assert(report.faults > 0, "the guest ran before its pages were there");
      await assertOnlyAt("guest", to, from);
      await verified(to, "guest", 2);
    });
  });
}

const [older, newer] = qemus;
describe("QEMU 7.2 to 10.0", { skip: newer === undefined && "only one QEMU is set up" }, () => {
  const hosts = pair(older!, newer ?? older!);

  test("by pre-copy with a machine type that both have", async () => {
    const { a, b } = hosts();
    await startGuest(a, { name: "guest", machine: "pc-q35-7.2" });
    assertMoved(await a.migrate({ vm: "guest", to: b.peer }), older!.version, newer!.version);
    await assertOnlyAt("guest", b, a);
    await verified(b, "guest", 2);
  });

  test("a machine type that the target does not know is refused by its name", async () => {
    const { a, b } = hosts();
    await b.call("POST", "/v1/vms", { ...guestSpec({ name: "new" }), machine: "pc-q35-10.0" });
    const report = await b.migrate({ vm: "new", to: a.peer });
    assert.equal(report.status, "refused");
    assert.equal(report.error?.code, "TARGET_DIFFERS");
    assert.match(report.error?.message ?? "", /machine type is pc-q35-10\.0 .* unknown to QEMU 7\.2/);
    await b.call("DELETE", "/v1/vms/new");
  });
});

describe("what goes wrong", () => {
  const hosts = pair(qemus[0]!, qemus[0]!);
  const slow = () => ({ vm: "guest", to: hosts().b.peer, bandwidthBytesPerSec: SLOW_BYTES_PER_SEC });

  /** A move that is under way and will be for a while. */
  async function underWay(order: Partial<Parameters<Host["begin"]>[0]> = {}): Promise<string> {
    const { a } = hosts();
    const id = await a.begin({ ...slow(), ...order });
    await until(async () => ((await a.status(id)).streamBytesPerSec ?? 0) > 0, "memory crosses", 30_000);
    return id;
  }

  async function assertStayed(report: Report, status: string, code: string): Promise<void> {
    assert.deepEqual([report.status, report.error?.code], [status, code]);
    await until(async () => (await hosts().b.vms()).length === 0, "the target is cleaned up", 15_000);
    await assertOnlyAt("guest", hosts().a, hosts().b);
  }

  before(() => startGuest(hosts().a, { name: "guest" }));

  test("a target that is not there", async () => {
    const report = await hosts().a.migrate({ ...slow(), to: "127.0.0.1:9" });
    await assertStayed(report, "refused", "PEER_UNREACHABLE");
  });

  test("a VM that does not exist, and a second migration of the same VM", async () => {
    const { a } = hosts();
    await assert.rejects(a.begin({ ...slow(), vm: "nobody" }), { code: "VM_UNKNOWN" });
    const id = await underWay();
    await assert.rejects(a.begin(slow()), { code: "VM_BUSY", message: new RegExp(id) });
    await a.call("POST", `/v1/migrations/${id}/cancel`);
    await assertStayed(await a.report(id), "aborted", "CANCELLED");
  });

  test("a name that is taken at the target, and a stopped guest", async () => {
    const { a, b } = hosts();
    await b.call("POST", "/v1/vms", guestSpec({ name: "guest", memoryMib: 128, setMib: 16 }));
    const report = await a.migrate(slow());
    assert.deepEqual([report.status, report.error?.code], ["refused", "VM_EXISTS"]);
    await b.call("DELETE", "/v1/vms/guest");
  });

  test("a cancel in stop-and-copy starts the guest again", async () => {
    const { a } = hosts();
    const id = await underWay({ strategy: "stop-and-copy" });
    assert.equal((await a.vm("guest")).status, "paused");
    await a.call("POST", `/v1/migrations/${id}/cancel`);
    await assertStayed(await a.report(id), "aborted", "CANCELLED");
  });

  test("a time limit with abort", async () => {
    const { a } = hosts();
    const id = await a.begin({ ...slow(), timeoutMs: 4_000 });
    await assertStayed(await a.report(id), "aborted", "MIGRATION_TIMEOUT");
  });

  test("the target QEMU killed in the middle", async () => {
    const { a, b } = hosts();
    const id = await underWay();
    process.kill((await b.vm("guest")).pid!, "SIGKILL");
    const report = await a.report(id);
    assert.equal(report.status, "aborted");
    await assertStayed(report, "aborted", report.error?.code ?? "");
  });

  test("after all that the guest is whole, and moves", async () => {
    const { a, b } = hosts();
    await verified(a, "guest", 2);
    assertMoved(await a.migrate({ vm: "guest", to: b.peer }), qemus[0]!.version, qemus[0]!.version);
    await assertOnlyAt("guest", b, a);
    await verified(b, "guest", 2);
  });

  test("the source QEMU killed in the middle: said to be lost, and nothing runs at the target", async () => {
    const { a, b } = hosts();
    const id = await b.begin({ ...slow(), to: a.peer });
    await until(async () => ((await b.status(id)).streamBytesPerSec ?? 0) > 0, "memory crosses", 30_000);
    process.kill((await b.vm("guest")).pid!, "SIGKILL");
    const report = await b.report(id);
    assert.deepEqual([report.status, report.error?.code], ["lost", "SOURCE_QEMU_GONE"]);
    await until(
      async () => (await a.vms()).length + (await b.vms()).length === 0,
      "all is cleaned up",
      15_000,
    );
  });
});
