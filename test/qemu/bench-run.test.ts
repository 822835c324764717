/**
 * Goal: the bench as a user starts it ends in a valid result with real moves in it, and leaves nothing on the host,
 * also when it is interrupted in the middle of a move.
 * Method: the bench in a process of its own, real QEMUs and agents, one small cell. A mark in the environment, which
 * everything it starts inherits, finds its processes; its temporary folder must be empty and its namespaces gone.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type BenchResult, parseResult } from "../../src/bench/mod.ts";

const MAIN = join(import.meta.dirname, "../../bench/main.ts");
const MARK = "GODWIT_BENCH_TEST";
const WATCH_MS = 100;

let out: string;
let temporary: string;
before(() => {
  out = mkdtempSync(join(tmpdir(), "gw-out-"));
  temporary = mkdtempSync(join(tmpdir(), "gw-b-")); // short: sockets lie below it
});
after(() => {
  for (const folder of [out, temporary]) rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  readonly pid: number;
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function bench(
  args: readonly string[],
  during?: (child: ChildProcess) => Promise<void>,
): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args, "--out", out], {
    env: { ...process.env, TMPDIR: temporary, [MARK]: temporary },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (text: string) => {
      said[name] += text;
    });
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  await during?.(child);
  return { pid: child.pid!, code: await closed, ...said };
}

function procFile(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return ""; // ended meanwhile
  }
}

/** Command lines of everything that a bench of this test has started and that runs. */
function marked(): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && procFile(name, "environ").includes(`${MARK}=${temporary}`))
    .map((pid) => procFile(pid, "cmdline").replaceAll("\0", " "));
}

function assertNothingLeft(pid: number): void {
  assert.deepEqual(marked(), [], "processes are left");
  assert.deepEqual(readdirSync(temporary), [], "files are left");
  const namespaces = spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout ?? "";
  assert(!namespaces.includes(`gw${pid}-`), `namespaces are left, with all that is in them: ${namespaces}`);
}

function onlyResult(): BenchResult {
  const names = readdirSync(out).filter((name) => name.endsWith(".json"));
  assert.equal(names.length, 1, names.join(", "));
  const path = join(out, names[0]!);
  const result = parseResult(JSON.parse(readFileSync(path, "utf8")), path);
  for (const kind of [".html", ".md"]) assert(existsSync(path.replace(".json", kind)), `there is no ${kind}`);
  rmSync(path);
  return result;
}

test("two systems move the guest of one cell, proven clean, in a valid result", async () => {
  const args = ["--cells", "quick-idle", "--systems", "B1,godwit-precopy", "--repeat", "1", "--json"];
  const { pid, code, stdout, stderr } = await bench(args);
  assert.equal(code, 0, stderr);
  const result = onlyResult();
  assert.deepEqual(JSON.parse(stdout), result, "stdout has the result and nothing else");
  assert.deepEqual(result.samples.map(({ system }) => system).sort(), ["godwit-precopy", "stock"]);
  for (const { outcome, error, oracleClean, ledger, system } of result.samples) {
    assert.equal(outcome, "completed", `${error}\n${stderr}`);
    assert.equal(oracleClean, true);
    const { totalTimeMs, migrateTimeMs, downtimeMs, blackoutMs, wireBytes, interfaceBytes, cpuMs } = ledger;
    assert(totalTimeMs! >= migrateTimeMs! && migrateTimeMs! > downtimeMs! && downtimeMs! > 0, system);
    assert(blackoutMs! > 0 && cpuMs.source > 0 && cpuMs.target > 0);
    // the kernel and the oracle's 16 MiB have to cross, and headers cost little
    assert(wireBytes.forward > 16 * 2 ** 20, `${system}: ${wireBytes.forward}`);
    if (interfaceBytes !== null) {
      const ratio = interfaceBytes.forward / wireBytes.forward;
      assert(ratio > 0.98 && ratio < 1.02, `${system}: the kernel counts ${ratio} of what the shaper counts`);
    }
    assert(
      ledger.timeline.some((point) => point.wireBytes > 0) &&
        ledger.timeline.at(-1)!.atMs <= totalTimeMs! + 200,
    );
  }
  assert.equal(result.samples.find(({ system }) => system === "godwit-precopy")!.equal, true);
  assertNothingLeft(pid);
});

test("Ctrl-C in the middle of a move: what there is is written, nothing is left", async () => {
  const seen: string[] = [];
  const args = ["--cells", "linkRate-10mbit", "--systems", "godwit-precopy", "--repeat", "1"];
  const { pid, code, stderr } = await bench(args, async (child) => {
    while (child.exitCode === null && !seen.some((command) => command.includes("-incoming"))) {
      await sleep(WATCH_MS);
      seen.splice(0, seen.length, ...marked());
    }
    await sleep(1000); // over 10 Mbit it takes far longer
    child.kill("SIGINT");
  });
  for (const part of ["-incoming", "agent run", "shaper"])
    assert(
      seen.some((command) => command.includes(part)),
      `${part} was not running: ${seen.join("; ")}\n${stderr}`,
    );
  assert.equal(code, 130, stderr);
  const result = onlyResult();
  assert.equal(result.interrupted, true);
  assert.deepEqual(result.samples, []);
  assertNothingLeft(pid);
});

test("an unknown cell or system names the known ones, and nothing is started", async () => {
  const cell = await bench(["--cells", "nowhere"]);
  assert.equal(cell.code, 2);
  assert.match(cell.stderr, /no cell nowhere; known are: .*words/);
  const system = await bench(["--systems", "nobody"]);
  assert.equal(system.code, 2);
  assert.match(system.stderr, /no system nobody; known are: .*stock/);
  assert.deepEqual([cell.stdout, system.stdout], ["", ""]);
});
