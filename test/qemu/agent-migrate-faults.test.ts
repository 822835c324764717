/**
 * Goal: never two run. When the arbiter cannot be heard the source says "in doubt" and stands still; when post-copy
 * breaks after the source QEMU sent its last byte (where stock QEMU 10.0 starts the source's guest again beside the
 * running target) the source stands still, too, and the move is recovered.
 * Method: real QEMUs and relays; the path to the other agent leads through a forwarder that can be cut; relays are
 * killed by SIGKILL. The guest of the first test is that of the second.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { artefacts } from "../../lab/setup/mod.ts";
import { Host, startGuest, until, verified } from "../tools/pair.ts";

/** The newest: 10.0 is the one that restarts a source by itself. */
const qemu = artefacts().qemus.at(-1)!;
let a: Host;
let b: Host;
/** What to do at the moment when the relay at b has read the last byte of its QEMU's memory. */
let atLastByte = (): void => {};
/** The newest relay of each side, as the agents tell it. */
const relays = { source: 0, target: 0 };

function note(line: string): void {
  const { relay, pid, msg } = JSON.parse(line) as { relay: "source" | "target"; pid: number; msg: string };
  if (msg === "relay's process") relays[relay] = pid;
}

before(async () => {
  a = await Host.start({ name: "a", qemu, watch: note });
  const watch = (line: string): void => {
    note(line);
    if (line.includes('"relay":{"event":"barrier","barrier":"end"}')) atLastByte();
  };
  b = await Host.start({ name: "b", qemu, watch });
});
after(async () => {
  await a.end();
  await b.end();
});

/** Forwards TCP to an address; while it is cut nothing gets through. */
async function forwarder(address: string) {
  const colon = address.lastIndexOf(":");
  const sockets = new Set<net.Socket>();
  let cut = false;
  const server = net.createServer((near) => {
    if (cut) return void near.destroy();
    const far = net.connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)) });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy()).on("close", () => sockets.delete(one));
      one.pipe(other);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      cut = true;
      for (const socket of sockets) socket.destroy();
    },
    mend() {
      cut = false;
    },
    close() {
      this.cut();
      server.close();
    },
  };
}

test("no answer to the commit: in doubt, the source still; the answer settles it by itself", async () => {
  await startGuest(a, { name: "guest", memoryMib: 128, setMib: 8 });
  const path = await forwarder(b.peer);
  try {
    const id = await a.begin({ vm: "guest", to: path.address, bandwidthBytesPerSec: 20_000_000 });
    await until(async () => ((await a.status(id)).streamBytesPerSec ?? 0) > 0, "memory crosses", 30_000);
    path.cut();
    const doubtful = await a.report(id);
    assert.deepEqual([doubtful.status, doubtful.error?.code], ["inDoubt", "IN_DOUBT"]);
    assert.notEqual((await a.vm("guest")).status, "running");
    assert.notEqual((await b.vm("guest")).status, "running");
    await assert.rejects(a.begin({ vm: "guest", to: b.peer }), { code: "VM_BUSY" });
    path.mend();
    await until(async () => (await a.status(id)).phase === "completed", "the target's answer", 30_000);
    await until(async () => (await a.vms()).length === 0, "the source is dropped", 10_000);
    assert.equal((await a.report(id)).status, "completed");
    await verified(b, "guest", 2);
  } finally {
    path.close();
  }
});

test("source relay killed after the source's last byte in post-copy: the source stands still, and the move is recovered", async () => {
  // What is in flight behind the last byte takes a twentieth of a second at this rate (src/link/window.ts).
  const order = { vm: "guest", to: a.peer, strategy: "postcopy", bandwidthBytesPerSec: 8_000_000 } as const;
  const id = await b.begin(order);
  await until(async () => (await b.status(id)).phase === "postcopy", "post-copy", 30_000);
  const pair = { ...relays };
  assert(pair.source > 0 && pair.target > 0);
  let killed = false;
  atLastByte = () => {
    killed = process.kill(pair.source, "SIGKILL");
  };
  let sourceRan = false;
  await until(
    async () => {
      const there = (await b.vms()).find(({ name }) => name === "guest");
      sourceRan ||= there?.status === "running";
      return (await b.status(id)).ended;
    },
    "the end",
    60_000,
    20,
  );
  const report = await b.report(id);
  assert.ok(killed);
  assert.equal(sourceRan, false, "two hosts run the guest");
  assert.deepEqual([report.status, report.error], ["completed", null]);
  await verified(a, "guest", 2);
});
