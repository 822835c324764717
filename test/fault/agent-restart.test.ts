/**
 * Goal: an agent that dies at the worst moments of a move and starts again finishes the move or undoes it; the guest never
 * runs twice, and is whole where it runs.
 * Method: real QEMUs, agents as processes of their own, killed by SIGKILL at a line of their own logs and started again on the
 * same state. QEMU's own STOP and RESUME tell when which side ran; the guest's oracle verifies its working set. One guest
 * goes through one death after the other.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { GODWIT } from "../../lab/demo/command.ts";
import { AgentHost, GUEST_NAME, type Status } from "../../lab/faults/agentHost.ts";
import { freePorts } from "../../lab/faults/proxy.ts";
import { GUEST } from "../../lab/faults/rig.ts";
import { setTrap } from "../../lab/faults/trapFile.ts";
import { rigSpec } from "../../lab/rig/mod.ts";
import { artefacts } from "../../lab/setup/mod.ts";
import type { RecoveryBody } from "../../src/agent/mod.ts";
import { EXIT } from "../../src/errors/mod.ts";
import { until } from "../tools/pair.ts";

const LIMIT = { timeout: 400_000 };
const WAIT_MS = 150_000;
/** Some seconds for what is missing when post-copy begins. */
const BYTES_PER_SEC = 16_000_000;
const qemu = artefacts().qemus.at(-1)!;

let dir: string;
/** The guest is at `from`. */
let from: AgentHost;
let to: AgentHost;
before(async () => {
  dir = mkdtempSync(join(tmpdir(), "gw-again-"));
  const port = await freePorts(2);
  from = await AgentHost.start({ name: "a", qemu, peerPort: port, dir: join(dir, "a") });
  to = await AgentHost.start({ name: "b", qemu, peerPort: port + 1, dir: join(dir, "b") });
  const { memoryMib } = GUEST;
  await from.call("post", "/v1/vms", rigSpec({ name: GUEST_NAME, memoryMib, workload: GUEST }));
  await whole(from, 1);
}, LIMIT);
after(async () => {
  await from?.end();
  await to?.end();
  rmSync(dir, { recursive: true, force: true });
});

/** The guest is here, and its oracle goes through its memory so many times more without a fault. */
async function whole(host: AgentHost, passes: number): Promise<void> {
  const had = host.heard()?.passes ?? 0;
  await until(async () => (host.heard()?.passes ?? 0) >= had + passes, `the oracle at ${host.name}`, WAIT_MS);
  assert.deepEqual(host.heard()?.faults, []);
}

/** Orders a move whose agent at this side dies at a step of its own, and starts that agent again. */
async function moveAndDie(
  strategy: "precopy" | "postcopy",
  dies: "source" | "target",
  phase: string,
): Promise<string> {
  const victim = dies === "source" ? from : to;
  const texts = [`${dies}'s phase`, `"to":"${phase}"`];
  setTrap(victim.trapPath, { texts, role: "agent", marks: victim.marks, signal: "SIGKILL" });
  const id = await from.begin({ to: to.peer, strategy, bandwidthBytesPerSec: BYTES_PER_SEC });
  await until(async () => !victim.running, `${dies}'s agent dies in ${phase}`, WAIT_MS, 10);
  await victim.start();
  return id;
}

/** Its end; on a busy machine there may be doubt before it. */
async function ended(id: string): Promise<Status> {
  const over = ({ ended, report }: Status) => ended && report?.status !== "inDoubt";
  const status = () => from.status(id).catch(() => null); // nobody answers before the agent has started again
  await until(
    async () => {
      const now = await status();
      return now !== null && over(now);
    },
    "the end",
    WAIT_MS,
  );
  return from.status(id);
}

/** The guest has moved, whoever died: only the target has it, and it is whole. */
async function moved(id: string): Promise<void> {
  const { phase, report } = await ended(id);
  assert.deepEqual([phase, report?.status, report?.error], ["completed", "completed", null]);
  await until(async () => (await from.guest()) === null, "the source has forgotten the guest", WAIT_MS);
  await whole(to, 2);
  assert.equal((await to.guest())?.incoming, false);
  assert.equal(from.runs.together(to.runs, 0), 0, "two hosts ran the guest");
  [from, to] = [to, from];
}

test(
  "the source's agent dies once it may have committed: the next one asks, and completes",
  LIMIT,
  async () => {
    await moved(await moveAndDie("precopy", "source", "committing"));
  },
);

test(
  "the source's agent dies in post-copy: its relay carries on, and the next agent completes",
  LIMIT,
  async () => {
    await moved(await moveAndDie("postcopy", "source", "postcopy"));
  },
);

test(
  "the target's agent dies in post-copy: its relay carries on, and the guest is the next agent's",
  LIMIT,
  async () => {
    await moved(await moveAndDie("postcopy", "target", "postcopy"));
  },
);

test(
  "the target's agent dies before the commit: the next one discards, and the guest stays",
  LIMIT,
  async () => {
    const { report } = await ended(await moveAndDie("precopy", "target", "loaded"));
    assert.equal(report?.status, "aborted");
    await whole(from, 2);
    assert.equal(await to.guest(), null);
    assert.equal(from.runs.together(to.runs, 0), 0, "two hosts ran the guest");
  },
);

/** Runs `godwit recover` at a host. */
function recover(
  host: AgentHost,
  ...args: string[]
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const socket = join(dir, host.name, "api.sock");
  return new Promise((resolve) => {
    const child = execFile(GODWIT, ["recover", ...args, "--socket", socket], (_, stdout, stderr) =>
      resolve({ exitCode: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

test(
  "a doubt is shown with what is seen of both hosts, and settled by order once the other is fenced",
  LIMIT,
  async () => {
    const texts = ["source's phase", '"to":"committing"'];
    setTrap(from.trapPath, { texts, role: "agent", marks: to.marks, signal: "SIGKILL" });
    const id = await from.begin({ to: to.peer, bandwidthBytesPerSec: BYTES_PER_SEC });
    await until(async () => (await from.status(id)).phase === "inDoubt", "doubt", WAIT_MS);
    const [seen] = await from.call<RecoveryBody[]>("get", "/v1/recoveries");
    assert(seen && "unseen" in seen.there);
    assert.deepEqual(
      [seen.id, seen.side, seen.phase, seen.advice.resume],
      [id, "source", "inDoubt", "fenced"],
    );
    assert.deepEqual([seen.here.qemu?.running, seen.here.qemu?.migration], [false, "completed"]);
    const shown = await recover(from);
    assert.equal(shown.exitCode, EXIT.inDoubt);
    assert.match(shown.stdout, /does not run the guest \(postmigrate, its migration completed\)/);
    const refused = await recover(from, id, "--resume-here");
    assert.deepEqual([refused.exitCode, (await from.guest())?.status], [EXIT.inDoubt, "postmigrate"]);
    assert.match(refused.stderr, /--other-host-is-fenced/);
    const done = await recover(from, GUEST_NAME, "--resume-here", "--other-host-is-fenced");
    assert.deepEqual([done.exitCode, done.stderr], [EXIT.done, ""]);
    const { report } = await ended(id);
    assert.deepEqual([report?.status, report?.error?.code], ["aborted", "RESUMED_BY_ORDER"]);
    assert.equal(report?.error?.fields["fenced"], true);
    await to.start();
    await until(async () => (await to.guest()) === null, "the target's copy is discarded", WAIT_MS);
    await whole(from, 1);
    assert.equal(from.runs.together(to.runs, 0), 0, "two hosts ran the guest");
    assert.deepEqual(await from.call("get", "/v1/recoveries"), []);
  },
);
