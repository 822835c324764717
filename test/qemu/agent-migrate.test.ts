/**
 * Goal: a running guest crosses by each strategy and nothing of it is lost; what cannot cross is refused by name, and
 * what goes wrong before the commit leaves it running at the source.
 * Method: agents in this process as hosts, real relays and real QEMUs, the lab guest's own oracle as the judge: after
 * each move it has to get through its whole working set once from the beginning (the second pass that ends, since the
 * first one may have begun before the move). One guest per QEMU goes through all of it; the older one's ends at the newer.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { artefacts, type QemuArtefact } from "../../lab/setup/mod.ts";
import type { MigrationStatusBody } from "../../src/agent/mod.ts";
import { type Report, STRATEGIES } from "../../src/migration/mod.ts";
import { guestSpec, Host, startGuest, until, verified } from "../tools/pair.ts";

/** Slow enough that there is time to do something to a move under way: it would take a dozen seconds. */
const SLOW_BYTES_PER_SEC = 6_000_000;
const GUEST = { name: "guest", memoryMib: 96, setMib: 8 };
const { qemus } = artefacts();
const [older, newer] = qemus;

/** Two hosts with one QEMU, and a guest that is at one of them. */
class Pair {
  readonly version: string;
  #here: Host;
  #there: Host;

  private constructor(version: string, here: Host, there: Host) {
    this.version = version;
    this.#here = here;
    this.#there = there;
  }

  static async start(qemu: QemuArtefact): Promise<Pair> {
    const here = await Host.start({ name: "a", qemu });
    const there = await Host.start({ name: "b", qemu });
    await startGuest(here, GUEST);
    return new Pair(qemu.version, here, there);
  }

  /** Where the guest is, and where it may go. */
  get hosts(): { readonly from: Host; readonly to: Host } {
    return { from: this.#here, to: this.#there };
  }

  /** The guest has gone from `from` to `to`, and is whole there. */
  async arrived(report: Report): Promise<void> {
    const { from, to } = this.hosts;
    if (report.status === "completed") [this.#here, this.#there] = [to, from];
    assertMoved(report, this.version, this.version);
    await assertOnlyAt("guest", to, from);
    await verified(to, "guest", 2);
  }

  /** Ends both hosts, whatever is still on them. */
  async end(): Promise<void> {
    await Promise.all([this.#here.end(), this.#there.end()]);
  }
}

function assertMoved(report: Report, from: string, to: string): void {
  assert.equal(report.error, null);
  assert.equal(report.status, "completed");
  assert.equal(report.equal, true, "both ends hold the same memory");
  assert.deepEqual(report.qemu, { source: from, target: to });
  assert(report.downtimeMs !== null && report.downtimeMs > 0);
  assert(report.blackoutMs !== null && report.blackoutMs >= 10);
  const { gapAfterResumeMs } = report;
  assert(gapAfterResumeMs !== null && gapAfterResumeMs > 0 && gapAfterResumeMs < report.totalTimeMs + 2_000);
  assert(report.pages.sent === report.pages.zero + report.pages.raw + report.pages.encoded);
  assert(report.ramBytes >= GUEST.memoryMib * 2 ** 20 && report.pages.sent * 4096 >= report.ramBytes);
  assert(report.engine !== null && report.wireBytes.forward < report.streamBytes, "encodings save something");
  assert(report.totalTimeMs >= report.downtimeMs);
  for (const bytes of [report.rssBytes.source, report.rssBytes.target])
    assert(bytes !== null && bytes < 150e6 + report.engine.cacheBytes);
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

const pairs: Pair[] = [];
after(async () => {
  await Promise.all(pairs.map((pair) => pair.end()));
});

/** Started with its describe block, and kept for those that follow. */
function pairOf(qemu: QemuArtefact): () => Pair {
  let pair: Pair;
  before(async () => {
    pair = await Pair.start(qemu);
    pairs.push(pair);
  });
  return () => pair;
}

for (const qemu of qemus) {
  describe(`QEMU ${qemu.version} to itself`, () => {
    const pair = pairOf(qemu);

    test("there and back by every strategy, the oracle clean", async () => {
      for (const strategy of STRATEGIES) {
        const { from, to } = pair().hosts;
        const report = await from.migrate({ vm: "guest", to: to.peer, strategy });
        assert.equal(report.strategy, strategy);
        if (strategy === "postcopy") assert(report.passes !== null && report.passes <= 3);
        await pair().arrived(report);
      }
    });

    test("post-copy told by the user in the middle of a pre-copy that does not end by itself", async () => {
      const { from, to } = pair().hosts;
      const order = {
        vm: "guest",
        to: to.peer,
        bandwidthBytesPerSec: 20_000_000,
        downtimeLimitMs: 1,
      };
      const id = await from.begin({
        ...order,
        strategy: "precopy",
        timeoutMs: 600_000,
        onTimeout: "postcopy",
      });
      await until(async () => (await from.status(id)).phase === "precopy", "pre-copy", 30_000);
      await sleep(500);
      await from.call("POST", `/v1/migrations/${id}/postcopy`);
      await until(async () => (await from.status(id)).phase === "postcopy", "post-copy", 30_000);
      await assert.rejects(from.call("POST", `/v1/migrations/${id}/cancel`), { code: "POSTCOPY_NO_CANCEL" });
      const report = await from.report(id);
      assert(report.faults > 0, "the guest ran before its pages were there");
      assert((report.paging?.gathered ?? 0) > 0, "pages that came behind the order waited for post-copy");
      await pair().arrived(report);
    });

    if (qemu === older) whatGoesWrong(pair);
  });
}

/** The guest stays where it is all the time. */
function whatGoesWrong(pair: () => Pair): void {
  const slow = () => ({
    vm: "guest",
    to: pair().hosts.to.peer,
    bandwidthBytesPerSec: SLOW_BYTES_PER_SEC,
    // With encodings it would be over too soon.
    engine: "plain" as const,
  });

  /** A move that is under way and will be for a while. */
  async function underWay(order: Partial<Parameters<Host["begin"]>[0]> = {}): Promise<string> {
    const { from } = pair().hosts;
    const id = await from.begin({ ...slow(), ...order });
    await until(async () => ((await from.status(id)).streamBytesPerSec ?? 0) > 0, "memory crosses", 30_000);
    return id;
  }

  async function assertStayed(report: Report, status: string, code: string): Promise<void> {
    const { from, to } = pair().hosts;
    assert.deepEqual([report.status, report.error?.code], [status, code]);
    await until(async () => (await to.vms()).length === 0, "the target is cleaned up", 60_000);
    await assertOnlyAt("guest", from, to);
  }

  test("a target that is not there", async () => {
    const report = await pair().hosts.from.migrate({ ...slow(), to: "127.0.0.1:9" });
    await assertStayed(report, "refused", "PEER_UNREACHABLE");
  });

  test("a VM that does not exist, and a second migration of the same VM", async () => {
    const { from } = pair().hosts;
    await assert.rejects(from.begin({ ...slow(), vm: "nobody" }), { code: "VM_UNKNOWN" });
    const id = await underWay();
    await assert.rejects(from.begin(slow()), { code: "VM_BUSY", message: new RegExp(id) });
    await from.call("POST", `/v1/migrations/${id}/cancel`);
    await assertStayed(await from.report(id), "aborted", "CANCELLED");
  });

  test("a name that is taken at the target", async () => {
    const { from, to } = pair().hosts;
    await to.call("POST", "/v1/vms", guestSpec(GUEST));
    const report = await from.migrate(slow());
    assert.deepEqual([report.status, report.error?.code], ["refused", "VM_EXISTS"]);
    await to.call("DELETE", "/v1/vms/guest");
  });

  test("a cancel in stop-and-copy starts the guest again", async () => {
    const { from } = pair().hosts;
    const id = await underWay({ strategy: "stop-and-copy" });
    assert.equal((await from.vm("guest")).status, "paused");
    await from.call("POST", `/v1/migrations/${id}/cancel`);
    await assertStayed(await from.report(id), "aborted", "CANCELLED");
  });

  test("a time limit with abort", async () => {
    const { from } = pair().hosts;
    // In the middle of it, and before the target is ready.
    for (const timeoutMs of [2_500, 1]) {
      const id = await from.begin({ ...slow(), timeoutMs });
      await assertStayed(await from.report(id), "aborted", "MIGRATION_TIMEOUT");
    }
  });

  test("the target QEMU killed in the middle", async () => {
    const { from, to } = pair().hosts;
    const id = await underWay();
    process.kill((await to.vm("guest")).pid!, "SIGKILL");
    const report = await from.report(id);
    assert.equal(report.status, "aborted");
    await assertStayed(report, "aborted", report.error?.code ?? "");
  });

  test("after all that the guest is whole, and moves", async () => {
    const { from, to } = pair().hosts;
    await verified(from, "guest", 2);
    await pair().arrived(await from.migrate({ vm: "guest", to: to.peer }));
    // Of older ones the agent has let go of all but this.
    const told = await from.call<MigrationStatusBody[]>("GET", "/v1/migrations");
    assert(told.length > 6 && told.every(({ ended, report }) => ended && report !== null));
    const startedAt = told.map(({ report }) => String(report?.["startedAt"]));
    assert.deepEqual(startedAt, startedAt.toSorted().reverse(), "newest first");
    const oldest = told.at(-1)!.id;
    await assert.rejects(from.call("POST", `/v1/migrations/${oldest}/cancel`), { code: "ORDER_TOO_LATE" });
  });

  test("the source QEMU killed in the middle: said to be lost, and nothing runs at the target", async () => {
    const { from, to } = pair().hosts;
    // Another guest, which need not have booted for that: it has little memory in use yet, so the link is slower still.
    await from.call("POST", "/v1/vms", guestSpec({ ...GUEST, name: "victim" }));
    const id = await underWay({ vm: "victim", bandwidthBytesPerSec: 500_000 });
    process.kill((await from.vm("victim")).pid!, "SIGKILL");
    const report = await from.report(id);
    assert.deepEqual([report.status, report.error?.code], ["lost", "SOURCE_QEMU_GONE"]);
    await until(
      async () => (await from.vms()).length === 1 && (await to.vms()).length === 0,
      "all of it is cleaned up",
      60_000,
    );
  });
}

describe("QEMU 7.2 to 10.0", { skip: newer === undefined && "only one QEMU is set up" }, () => {
  const at = (version: string): Pair => {
    const pair = pairs.find((one) => one.version === version);
    assert(pair, `the guest of QEMU ${version} was started`);
    return pair;
  };

  test("by pre-copy with a machine type that both have", async () => {
    // Its machine, "q35", was made the older QEMU's versioned type.
    const from = at(older!.version).hosts.from;
    const { from: taken, to } = at(newer!.version).hosts;
    assert.deepEqual([(await taken.vms()).length, (await to.vms()).length], [1, 0]);
    assertMoved(await from.migrate({ vm: "guest", to: to.peer }), older!.version, newer!.version);
    await assertOnlyAt("guest", to, from);
    await verified(to, "guest", 2);
  });

  test("a machine type that the target does not know is refused by its name", async () => {
    const { from } = at(newer!.version).hosts;
    const { to } = at(older!.version).hosts;
    const report = await from.migrate({ vm: "guest", to: to.peer });
    assert.equal(report.status, "refused");
    assert.equal(report.error?.code, "TARGET_DIFFERS");
    assert.match(report.error?.message ?? "", /machine type is pc-q35-10\.0 .* unknown to QEMU 7\.2/);
    await verified(from, "guest", 1);
  });
});
