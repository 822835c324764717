/**
 * Goal: an agent starts, shows and ends VMs over its API and the CLI; VMs outlive the agent, however it ends, and the
 * next one finds them; it watches the guest's console; it ends cleanly.
 * Method: agents as real processes with the command line that users have, QEMUs as set-up found them; once with the
 * lab guest, whose heartbeat and oracle are real.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { guestCommandLine } from "../../lab/guest/mod.ts";
import { artefacts } from "../../lab/setup/mod.ts";
import type { HostBody, VmBody } from "../../src/agent/mod.ts";
import { AgentClient } from "../../src/cli/client.ts";
import { processId } from "../../src/qemu/mod.ts";

const scratch = mkdtempSync(join(tmpdir(), "gw-agent-"));
after(() => rmSync(scratch, { recursive: true }));
const main = join(import.meta.dirname, "../../src/cli/main.ts");
const { qemus, kernel, initrd } = artefacts();
const agents: ChildProcess[] = [];

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const socket = join(scratch, "run/agent.sock");
const client = new AgentClient(socket);

async function godwit(args: string[], input = ""): Promise<Ran> {
  const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, GODWIT_SOCKET: socket } });
  child.stdin.end(input);
  const read = async (stream: AsyncIterable<Buffer>) => {
    let text = "";
    for await (const chunk of stream) text += chunk.toString();
    return text;
  };
  const [out, err, [code]] = await Promise.all([read(child.stdout), read(child.stderr), once(child, "exit")]);
  return { out, err, code: Number(code) };
}

async function startAgent(...more: string[]): Promise<ChildProcess> {
  const args = [
    main,
    "agent",
    "run",
    "--state-dir",
    scratch,
    "--host",
    "alpha",
    "--log-level",
    "warn",
    ...more,
  ];
  const agent = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  agents.push(agent);
  let words = "";
  for await (const chunk of agent.stderr) {
    words += chunk;
    if (words.includes("agent ready")) break;
  }
  assert.match(words, /agent ready/);
  return agent;
}

async function end(agent: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const exit = once(agent, "exit");
  agent.kill(signal);
  return (await exit)[0] as number | null;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await holds()) return;
    await sleep(100);
  }
  assert.fail(`never: ${what}`);
}

afterEach(async () => {
  for (const agent of agents.splice(0))
    if (agent.exitCode === null && agent.signalCode === null) await end(agent, "SIGKILL");
  // Whatever a failed test left: a new agent finds it, and ends it.
  if (!existsSync(join(scratch, "run/vms")) || readdirSync(join(scratch, "run/vms")).length === 0) return;
  const agent = await startAgent();
  for (const vm of await client.get<VmBody[]>("/v1/vms")) await client.delete(`/v1/vms/${vm.name}`);
  await end(agent, "SIGTERM");
  agents.length = 0;
});

const spec = (name: string, qemu = qemus[0]!) =>
  JSON.stringify({ name, memory: "32776KiB", accel: "tcg", qemu: { binary: qemu.binary, args: qemu.args } });

describe("an agent's VMs", () => {
  for (const qemu of qemus) {
    it(`start, are listed and shown, and end, under QEMU ${qemu.version}`, async () => {
      await startAgent();
      const started = await godwit(["vm", "start", "-", "--json"], spec("web", qemu));
      assert.equal(started.code, 0, started.err);
      const vm = JSON.parse(started.out) as VmBody;
      assert.equal(vm.qemuVersion, qemu.version);
      assert.equal(vm.status, "running");
      assert.match((await godwit(["vm", "list"])).out, /web +running +32776KiB/);
      assert.equal((await godwit(["vm", "start", "-"], spec("web", qemu))).code, 3);
      assert.match((await godwit(["vm", "show", "web"])).out, /machine +pc-q35-/);
      assert.equal((await godwit(["vm", "stop", "web"])).code, 0);
      assert.equal(processId(vm.pid!), null);
      assert.equal(existsSync(vm.dir), false);
      const unknown = await godwit(["vm", "show", "web"]);
      assert.equal(unknown.code, 3);
      assert.match(unknown.err, /The agent of alpha has no VM named web/);
    });
  }

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    it(`outlive an agent that gets ${signal}, and the next one has them`, async () => {
      const first = await startAgent();
      const vm = await client.post<VmBody>("/v1/vms", JSON.parse(spec("web")));
      const code = await end(first, signal);
      if (signal === "SIGTERM") {
        assert.equal(code, 0);
        assert.equal(existsSync(socket), false, "its socket goes with it");
      }
      assert.notEqual(processId(vm.pid!), null);
      await startAgent();
      const found = await client.get<VmBody>("/v1/vms/web");
      assert.equal(found.pid, vm.pid);
      assert.equal(found.status, "running");
      assert.deepEqual(found.spec, vm.spec);
    });
  }

  it("that end by themselves are forgotten, and said", async () => {
    await startAgent();
    const vm = await client.post<VmBody>("/v1/vms", JSON.parse(spec("web")));
    const { events, close } = await client.events();
    process.kill(vm.pid!, "SIGKILL");
    for await (const event of events) if (event.type === "vm.ended") break;
    close();
    assert.deepEqual(await client.get("/v1/vms"), []);
    assert.equal(existsSync(vm.dir), false);
  });

  it("two starts of one name at once give one VM", async () => {
    await startAgent();
    const starts = await Promise.allSettled(
      [1, 2].map(() => client.post<VmBody>("/v1/vms", JSON.parse(spec("web")))),
    );
    const codes = starts.flatMap((s) =>
      s.status === "rejected" ? [(s.reason as { code: string }).code] : [],
    );
    assert.deepEqual(codes, ["VM_EXISTS"]);
    assert.equal((await client.get<VmBody[]>("/v1/vms")).length, 1);
  });

  it("have a console whose heartbeat and oracle are watched", async () => {
    const first = await startAgent();
    const append = guestCommandLine({ setMib: 4, pagesPerSec: 50 });
    const guest = { ...JSON.parse(spec("guest")), memory: "96MiB", heartbeat: true, kernel, initrd, append };
    await client.post("/v1/vms", guest);
    const show = () => client.get<VmBody>("/v1/vms/guest");
    await until("beats and a verified pass", async () => {
      const { heartbeat, oracle } = await show();
      return (heartbeat?.beats ?? 0) > 50 && (oracle?.verified ?? 0) > 0;
    });
    const seen = await show();
    assert.equal(seen.oracle?.corrupt, 0);
    await end(first, "SIGKILL");
    await startAgent();
    await until("beats again", async () => ((await show()).heartbeat?.beats ?? 0) > 10);
    const later = await show();
    assert.ok((later.heartbeat?.lastSeq ?? 0) > (seen.heartbeat?.lastSeq ?? 0));
    assert.ok(
      (later.oracle?.verified ?? 0) >= (seen.oracle?.verified ?? 0),
      "what was said before is counted from the log",
    );
  });
});

describe("an agent", () => {
  it("is alone in its state dir, and its socket is private", async () => {
    await startAgent("--peer", "127.0.0.1:0");
    const second = await godwit(["agent", "run", "--state-dir", scratch]);
    assert.equal(second.code, 3);
    assert.match(second.err, /Another agent already uses/);
    assert.equal(statSync(socket).mode & 0o777, 0o600);
    const { host, peerAddress } = await client.get<HostBody>("/v1/host");
    assert.equal(host, "alpha");
    assert.match(peerAddress ?? "", /^127\.0\.0\.1:\d+$/);
  });

  it("refuses what it cannot do before anything is left behind", async () => {
    const insecure = await godwit(["agent", "run", "--state-dir", scratch, "--peer", "0.0.0.0:0"]);
    assert.equal(insecure.code, 3);
    assert.match(insecure.err, /not loopback/);
    const long = join(scratch, "x".repeat(100));
    const tooLong = await godwit(["agent", "run", "--state-dir", long]);
    assert.equal(tooLong.code, 3);
    assert.match(tooLong.err, /at most 107/);
    assert.equal(existsSync(long), false);
  });

  it("describes its API and answers bad requests with a code", async () => {
    await startAgent();
    const api = await client.get<{ openapi: string; paths: Record<string, object> }>("/v1/openapi.json");
    assert.match(api.openapi, /^3\./);
    for (const path of [
      "/v1/vms",
      "/v1/vms/{name}",
      "/v1/host",
      "/v1/history",
      "/v1/events",
      "/v1/doctor",
      "/v1/migrations",
    ]) {
      assert.ok(path in api.paths, path);
    }
    const bad = (body: object) => client.post("/v1/vms", body);
    await assert.rejects(bad({ name: "web" }), { code: "USAGE", message: /memory/ });
    await assert.rejects(client.get("/v1/nothing"), { code: "USAGE" });
    await assert.rejects(client.get("/v1/history/none"), { code: "MIGRATION_UNKNOWN" });
    assert.deepEqual(await client.get("/v1/history"), []);
  });
});
