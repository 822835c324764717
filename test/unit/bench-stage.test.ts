/**
 * Goal: every system of the bench gets the same line between the same two hosts, its bytes are counted rightly, and
 * whatever ends a stage, nothing of it stays.
 * Method: real namespaces where the rights suffice, real sockets through both ways, and the kernel's own counters of
 * the cable as the judge; stages in child processes that are ended in other ways. QEMU: test/qemu/bench-stage.test.ts.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openStage } from "../../bench/stage/mod.ts";
import type { HostName, OpenStageOptions, Stage, StageHost } from "../../bench/types.ts";
import { canMakeNamespaces } from "../../lab/host/mod.ts";

const OPEN = { link: { bytesPerSec: null, latencyMs: 0, jitterMs: 0 }, guests: 2 } as const;
const needsRoot = canMakeNamespaces() ? false : "needs the right to make namespaces";
const MODULE = join(import.meta.dirname, "../../bench/stage/mod.ts");
const HOSTS = ["a", "b"] as const;

async function opened(t: TestContext, options: OpenStageOptions = OPEN): Promise<Stage> {
  const stage = await openStage(options);
  t.after(() => stage.close());
  return stage;
}

/** A program of Node's on a host, with what it prints. */
function program(t: TestContext, host: Pick<StageHost, "place">, code: string): ChildProcess {
  const [command, ...args] = host.place.argv([process.execPath, "-e", code]);
  const child = spawn(command!, args, { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

test("the count on the wire agrees with the kernel's counters of the cable", {
  skip: needsRoot,
}, async (t) => {
  const stage = await opened(t);
  const bytes = 60_000_000;
  const way = stage.way("a");
  const port = way.ports.stock[3]!;
  const sink = program(
    t,
    stage.hosts.b,
    `let got = 0;
    require("node:net").createServer((s) => s.on("data", (d) => (got += d.length)).on("end", () => console.log(got)))
      .listen(${port}, "${stage.hosts.b.address}", () => console.log("listening"))`,
  );
  await once(sink.stdout!, "data");
  program(
    t,
    stage.hosts.a,
    `require("node:net").connect(${port}, "${way.address}").end(Buffer.alloc(${bytes}, 7))`,
  );
  const [got] = await once(sink.stdout!, "data");
  assert.equal(Number(got), bytes);
  const wire = await way.wireBytes();
  assert.deepEqual(wire, { forward: bytes, backward: 0 });
  const kernel = way.interfaceBytes()!;
  assert.ok(kernel.forward > wire.forward, "the kernel counts headers as well");
  assert.ok(kernel.forward < wire.forward * 1.02, `${kernel.forward} bytes for ${wire.forward}`);
  assert.ok(kernel.backward < bytes * 0.02, `${kernel.backward} bytes of acknowledgements`);
  const far = stage.way("b").interfaceBytes()!;
  assert.ok(Math.abs(far.backward - kernel.forward) < 10_000, "what left one end arrived at the other");
});

test("a sender has no more under way than a slow line holds", { skip: needsRoot }, async (t) => {
  const stage = await opened(t, { link: { bytesPerSec: 1_250_000, latencyMs: 1, jitterMs: 0 }, guests: 0 });
  const way = stage.way("a");
  const port = way.ports.stock[0]!;
  const sink = program(
    t,
    stage.hosts.b,
    `require("node:net").createServer((s) => s.on("data", () => {}).on("error", () => {}))
      .listen(${port}, "${stage.hosts.b.address}", () => console.log("listening"))`,
  );
  await once(sink.stdout!, "data");
  const source = program(
    t,
    stage.hosts.a,
    `const s = require("node:net").connect(${port}, "${way.address}").on("error", () => {});
    s.write(Buffer.alloc(1 << 20), () => { console.log("written"); });`,
  );
  await once(source.stdout!, "data");
  const { forward } = await way.wireBytes();
  assert.ok(forward > (1 << 20) - 500_000, `1 MiB written, and only ${forward} bytes of it sent`);
});

for (const loopback of [false, true])
  test(`both ways lead to the other host's own ports, ${loopback ? "on loopback" : "apart"}`, {
    skip: loopback ? false : needsRoot,
  }, async (t) => {
    const stage = await opened(t, { ...OPEN, loopback });
    assert.equal(stage.apart, !loopback);
    assert.equal(stage.client === null, loopback);
    assert.equal(stage.nic(0) === null, loopback);
    assert.equal(stage.way("a").interfaceBytes() === null, loopback);
    for (const from of HOSTS) {
      const { address, ports } = stage.way(from);
      assert.deepEqual([ports.relay.length, ports.stock.length], [16, 16]);
      const far = stage.hosts[from === "a" ? "b" : "a"];
      const three = [ports.control, ports.relay.at(-1)!, ports.stock.at(-1)!];
      const server = program(
        t,
        far,
        `let open = 0;
        for (const port of ${JSON.stringify(three)})
          require("node:net").createServer((s) => s.end(port + "${far.name} "))
            .listen(port, "${far.address}", () => ++open === 3 && console.log("listening"))`,
      );
      await once(server.stdout!, "data");
      const asker = program(
        t,
        stage.hosts[from],
        `for (const port of ${JSON.stringify(three)})
          require("node:net").connect(port, "${address}").pipe(process.stdout, { end: false })`,
      );
      const said = await text(asker.stdout!);
      assert.deepEqual(said.trim().split(" ").sort(), three.map((port) => `${port}${far.name}`).sort());
    }
  });

test("stages on loopback keep out of each other's way", async (t) => {
  const stages = [await opened(t, { ...OPEN, loopback: true }), await opened(t, { ...OPEN, loopback: true })];
  const all = stages.flatMap((stage) =>
    HOSTS.flatMap((from: HostName) => {
      const { control, relay, stock } = stage.way(from).ports;
      return [control, ...relay, ...stock];
    }),
  );
  assert.equal(new Set(all).size, 2 * 2 * 33);
});

test("a QEMU of a host is one process, and that one is in the host's network", {
  skip: needsRoot,
}, async (t) => {
  const stage = await opened(t);
  const { binary, args } = stage.hosts.b.qemu({ binary: "sleep", args: ["60"], version: "0" });
  const child = spawn(binary, args, { stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  const exe = () => readlinkSync(`/proc/${child.pid}/exe`);
  for (let i = 0; !exe().endsWith("/sleep"); i++) {
    assert.ok(i < 500, `it is still ${exe()}`);
    await sleep(10);
  }
  const [command, ...rest] = stage.hosts.b.place.argv(["readlink", "/proc/self/ns/net"]);
  const { stdout } = spawnSync(command!, rest, { encoding: "utf8" });
  assert.equal(readlinkSync(`/proc/${child.pid}/ns/net`), stdout.trim());
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "exit"), [null, "SIGTERM"]);
});

test("more guests than a stage has cards for are a mistake of the caller", async () => {
  for (const guests of [-1, 1.5, 17]) await assert.rejects(openStage({ ...OPEN, guests }), RangeError);
});

/** What a stage of that process has left on this system. */
function leftOf(pid: number, temp: string): string[] {
  const spaces = existsSync("/run/netns") ? readdirSync("/run/netns") : [];
  return [...spaces.filter((name) => name.startsWith(`gw${pid}-`)), ...readdirSync(temp)];
}

const ENDINGS = {
  "its normal end": { body: "", signal: null, code: 0 },
  "an exception": { body: "throw new Error('on purpose')", signal: null, code: 1 },
  SIGINT: { body: "setInterval(() => {}, 1000)", signal: "SIGINT", code: 130 },
} as const;

for (const [name, { body, signal, code }] of Object.entries(ENDINGS))
  test(`nothing of a stage outlives ${name}`, { skip: needsRoot }, async (t) => {
    const temp = mkdtempSync(join(tmpdir(), "gw-test-"));
    t.after(() => rmSync(temp, { recursive: true, force: true }));
    const script = `const { openStage } = await import(${JSON.stringify(MODULE)});
      const { spawn } = await import("node:child_process");
      const stage = await openStage(${JSON.stringify(OPEN)});
      const [command, ...args] = stage.hosts.a.place.argv(["sleep", "60"]);
      const inside = spawn(command, args, { stdio: "ignore", detached: true });
      inside.unref();
      stage.hosts.a.qemu({ binary: "true", args: [], version: "0" });
      console.log(inside.pid);
      ${signal === null && code === 0 ? "await stage.close();" : ""}
      ${body}`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      env: { ...process.env, TMPDIR: temp },
      stdio: ["ignore", "pipe", "ignore"],
    });
    const exited = once(child, "exit");
    const [said] = await once(child.stdout, "data");
    const inside = Number(said);
    if (signal !== null) {
      assert.equal(leftOf(child.pid!, temp).length, 3 + 1);
      const beside = await opened(t);
      child.kill(signal);
      await exited;
      assert.deepEqual(await beside.way("b").wireBytes(), { forward: 0, backward: 0 });
    }
    assert.equal((await exited)[0], code);
    assert.deepEqual(leftOf(child.pid!, temp), []);
    assert.ok(await gone(inside), "a process inside lives on");
  });

/** Its parent is gone, too: process 1 may take a moment to bury it. */
async function gone(pid: number): Promise<boolean> {
  for (let i = 0; i < 200; i++) {
    if (!existsSync(`/proc/${pid}/exe`) || !readable(`/proc/${pid}/exe`)) return true;
    await sleep(10);
  }
  return false;
}

/** A zombie has no program any more. */
function readable(link: string): boolean {
  try {
    readlinkSync(link);
    return true;
  } catch {
    return false;
  }
}

test("a stage that cannot be made whole says why and leaves nothing", { skip: needsRoot }, async (t) => {
  const temp = mkdtempSync(join(tmpdir(), "gw-test-"));
  t.after(() => rmSync(temp, { recursive: true, force: true }));
  const shims = mkdtempSync(join(tmpdir(), "gw-test-"));
  t.after(() => rmSync(shims, { recursive: true, force: true }));
  const real = spawnSync("sh", ["-c", "command -v ip"], { encoding: "utf8" }).stdout.trim();
  // an ip(8) without taps
  const lines = `case "$*" in
  *-batch*) lines=$(cat)
    case "$lines" in *tuntap*) echo "no taps here" >&2; exit 1 ;; esac
    echo "$lines" | exec ${real} "$@" ;;
  *) exec ${real} "$@" ;;
esac`;
  writeFileSync(join(shims, "ip"), `#!/bin/sh\n${lines}\n`);
  chmodSync(join(shims, "ip"), 0o755);
  const script = `const { openStage } = await import(${JSON.stringify(MODULE)});
    await openStage(${JSON.stringify(OPEN)}).catch((error) => console.log(error.code, error.fields.reason));
    console.log(process._getActiveHandles().filter((handle) => handle.pid).length, "children");
    await new Promise((resolve) => process.stdin.on("end", resolve).resume());`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    env: { ...process.env, TMPDIR: temp, PATH: `${shims}:${process.env["PATH"]}` },
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    said += chunk;
  });
  while (!said.includes("children")) await once(child.stdout, "data");
  assert.equal(said, "SETUP_FAILED no taps here\n0 children\n");
  assert.deepEqual(leftOf(child.pid!, temp), []); // still running: it was not the end of the process that cleaned up
  child.stdin.end();
  await once(child, "exit");
});

test("a port that is taken ends the opening, and both shapers", async (t) => {
  const { openWay } = await import("../../bench/stage/way.ts");
  const { freePorts } = await import("../../bench/stage/ports.ts");
  const ports = (await freePorts(["127.0.0.1", "127.0.0.2"])).a;
  const taken: Server = createServer((socket: Socket) => socket.destroy()).listen(
    ports.relay[5],
    "127.0.0.2",
  );
  await once(taken, "listening");
  t.after(() => taken.close());
  const place = { name: "a", address: "127.0.0.1", argv: (command: readonly string[]) => [...command] };
  const open = openWay({ near: place, far: place, ports, link: OPEN.link, ifname: null });
  await assert.rejects(open, new RegExp(`EADDRINUSE.*${ports.relay[5]}`));
});
