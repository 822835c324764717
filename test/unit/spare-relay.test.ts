/**
 * Goal: a relay's process is up before an order comes, is told to rehearse while it waits and not otherwise, is used once, is
 * never made while relays work, and does not outlive whoever made it.
 * Method: real processes, with a short rest; one that repeats what it is told; for the last point an agent's stand-in that
 * is killed.
 */
import assert from "node:assert/strict";
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SpareRelay } from "../../src/agent/migrate/spareRelay.ts";
import { RELAY_ENVIRONMENT, RELAY_FLAGS } from "../../src/relay/mod.ts";

const REST_MS = 20;
const LIMIT_MS = 20_000;

async function until(done: () => boolean, what: string): Promise<void> {
  const untilMs = performance.now() + LIMIT_MS;
  while (!done()) {
    assert(performance.now() < untilMs, what);
    await sleep(10);
  }
}

async function end(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** Nothing of it stays, whatever the test comes to. */
function spareOf(t: TestContext): SpareRelay {
  const spare = new SpareRelay(REST_MS);
  t.after(() => spare.close());
  return spare;
}

function taken(t: TestContext, spare: SpareRelay): ChildProcess {
  const child = spare.take();
  t.after(() => void child.kill("SIGKILL"));
  return child;
}

const runs = (pid: number) => existsSync(`/proc/${pid}`);

it("the spare one is taken, and the next is made when all that were taken have gone", async (t) => {
  const spare = spareOf(t);
  spare.makeSoon();
  assert.equal(spare.pid, null);
  await until(() => spare.pid !== null, "a spare one");
  const ahead = spare.pid;
  const first = taken(t, spare);
  assert.equal(first.pid, ahead);
  assert.equal(spare.pid, null);
  const second = taken(t, spare);
  assert.notEqual(second.pid, ahead);
  spare.makeSoon();
  await end(first);
  await sleep(5 * REST_MS);
  assert.equal(spare.pid, null, "one of them is still at work");
  await end(second);
  await until(() => spare.pid !== null, "a spare one again");
});

it("one that has died is not given away", async (t) => {
  const spare = spareOf(t);
  spare.makeSoon();
  await until(() => spare.pid !== null, "a spare one");
  const dead = spare.pid!;
  process.kill(dead, "SIGKILL");
  await until(() => spare.pid === null, "its death is seen");
  const child = taken(t, spare);
  assert.notEqual(child.pid, dead);
  await end(child);
});

it("the spare one is told to rehearse after a rest, and nothing once it was taken", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "gw-spare-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const echo = join(dir, "echo.mjs");
  writeFileSync(echo, 'process.on("message", (told) => process.send(told));');
  const told: unknown[] = [];
  const start = () => fork(echo, { execArgv: [] }).on("message", (message) => void told.push(message));
  const patient = new SpareRelay(REST_MS, LIMIT_MS, start);
  t.after(() => patient.close());
  const spare = new SpareRelay(REST_MS, REST_MS, start);
  t.after(() => spare.close());
  patient.makeSoon();
  await until(() => patient.pid !== null, "a spare one");
  const child = taken(t, patient);
  spare.makeSoon();
  await until(() => told.length > 0, "it is told");
  child.send("last");
  await until(() => told.includes("last"), "the other one repeats what it was told");
  assert.deepEqual(told, [{ rehearse: true }, "last"]);
});

it("closed, it has ended its process, and makes no other", async (t) => {
  const spare = spareOf(t);
  spare.makeSoon();
  await until(() => spare.pid !== null, "a spare one");
  const pid = spare.pid!;
  await spare.close();
  assert(!runs(pid));
  spare.makeSoon();
  await sleep(5 * REST_MS);
  assert.equal(spare.pid, null);
});

it("it ends with a maker that is killed", async (t) => {
  const module = new URL("../../src/agent/migrate/spareRelay.ts", import.meta.url).href;
  const code = `const { SpareRelay } = await import(${JSON.stringify(module)});
    const spare = new SpareRelay(1);
    spare.makeSoon();
    setInterval(() => spare.pid === null || console.log(spare.pid), 10);`;
  const maker = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => void maker.kill("SIGKILL"));
  let text = "";
  maker.stdout.setEncoding("utf8").on("data", (more: string) => {
    text += more;
  });
  await until(() => text.includes("\n"), "its spare one");
  const pid = Number(text.split("\n", 1)[0]);
  assert(runs(pid));
  await end(maker);
  await until(() => !runs(pid), "it ends, too");
});

it("bin/godwit starts a bare relay as an agent starts its own", () => {
  const script = readFileSync(new URL("../../bin/godwit", import.meta.url), "utf8");
  assert(script.includes(`exec "$node" ${RELAY_FLAGS.join(" ")} `));
  for (const [name, value] of Object.entries(RELAY_ENVIRONMENT))
    assert(script.includes(`export ${name}="\${${name}:-${value}}"`), name);
});
