/**
 * Goal: the demo tells the truth by its exit code and its reports, and leaves nothing on the host, however it ends.
 * Method: the demo as a user starts it, with real agents and QEMUs and a small guest. While it runs, its descendants are
 * noted from the kernel's own table of parents; afterwards none of them may live, no namespace of it may exist and its
 * temporary folder must be empty. That its guest's oracle can say no is shown by damaging the guest.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Report } from "../../src/migration/mod.ts";

const MAIN = join(import.meta.dirname, "../../lab/demo/main.ts");
const SMALL = ["--json", "--strategy", "precopy", "--mem", "128", "--ws", "8"];
const WATCH_MS = 100;

let temporary: string;
before(() => {
  temporary = mkdtempSync(join(tmpdir(), "gw-demo-test-"));
});
after(() => rmSync(temporary, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** PID and start time of everything that it started, and that those started. */
  readonly descendants: ReadonlyMap<string, string>;
}

/** Runs the demo to its end. `watch` sees what it has said so far and may do something to it. */
async function demo(
  args: readonly string[],
  watch: (said: string, child: ChildProcess) => void = () => {},
): Promise<Ended & { readonly pid: number }> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said.stderr += text;
    watch(said.stderr, child);
  });
  const descendants = new Map<string, string>();
  const timer = setInterval(() => noteDescendants(child.pid!, descendants), WATCH_MS);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    return { pid: child.pid!, code, ...said, descendants };
  } finally {
    clearInterval(timer);
  }
}

interface Entry {
  readonly pid: string;
  readonly parent: string;
  readonly identity: string;
  readonly command: string;
}

/** Processes as the kernel shows them now; a zombie has ended. */
function processTable(): Entry[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const [state, parent, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (state === "Z") return [];
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      return [{ pid, parent: parent!, identity: `${pid}@${rest[17]}`, command }];
    } catch {
      return []; // ended between the two reads
    }
  });
}

function noteDescendants(root: number, into: Map<string, string>): void {
  const table = processTable();
  const family = new Set([String(root)]);
  for (let known = 0; known !== family.size; ) {
    known = family.size;
    for (const { pid, parent } of table) if (family.has(parent)) family.add(pid);
  }
  // A process on its way out has no command any more: what was seen before counts.
  for (const { pid, identity, command } of table)
    if (family.has(pid) && pid !== String(root)) into.set(identity, command || into.get(identity) || "");
}

function assertNothingLeft(ended: Ended & { readonly pid: number }): void {
  const alive = new Set(processTable().map(({ identity }) => identity));
  const left = [...ended.descendants].filter(([identity]) => alive.has(identity));
  assert.deepEqual(left, [], "processes are left");
  assert.deepEqual(readdirSync(temporary), [], "files are left");
  const namespaces = spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout ?? "";
  assert(!namespaces.includes(`gw${ended.pid}-`), `namespaces are left: ${namespaces}`);
}

/** The families of processes that a demo under way consists of; or what was watched was not a demo. */
function assertSaw(ended: Ended, ...parts: string[]): void {
  const commands = [...ended.descendants.values()];
  for (const part of parts)
    assert(
      commands.some((command) => command.includes(part)),
      `${part} is not among what was seen to run: ${commands.join("; ")}\n${ended.stderr}`,
    );
}

test("one move as JSON: one report on stdout, proven equal, exit code 0, nothing left", async () => {
  const ended = await demo(SMALL);
  assert.equal(ended.code, 0, ended.stderr);
  const lines = ended.stdout.trimEnd().split("\n");
  assert.equal(lines.length, 1, ended.stdout);
  const report = JSON.parse(lines[0]!) as Report;
  assert.deepEqual([report.status, report.strategy, report.equal], ["completed", "precopy", true]);
  assert(report.downtimeMs !== null && report.downtimeMs > 0);
  assert(report.blackoutMs !== null && report.blackoutMs > 0);
  assert.match(ended.stderr, /oracle: V \d+ OK/);
  assertSaw(ended, "agent run --host alpha", "agent run --host beta", "migrate guest", "-incoming defer");
  assertNothingLeft(ended);
});

test("a guest whose memory is damaged makes the demo fail, with the oracle's words", async () => {
  const ended = await demo([...SMALL, "--break", "1"]);
  assert.equal(ended.code, 1, ended.stderr);
  assert.match(ended.stderr, /found memory that is not what it wrote: .*(CORRUPT|BAD)/);
  assertNothingLeft(ended);
});

test("a bad value is a usage error that names what is possible, and nothing is started", async () => {
  for (const [args, says] of [
    [["--mode", "loudly"], /--mode.*loudly.*words, random/],
    [["--strategy", "teleport"], /--strategy.*teleport.*stop-and-copy/],
    [["--mem", "64"], /--mem.*whole number from 128/],
    [["--mem", "128", "--ws", "100"], /--ws 100 is too large.*48 MiB/],
    [["--bandwidth", "12"], /--bandwidth.*800Mbit/],
    [["now"], /too many arguments/],
  ] as const) {
    const ended = await demo(["--json", ...args]);
    assert.equal(ended.code, 2, `${args.join(" ")}: ${ended.stderr}`);
    assert.match(ended.stderr, says);
    assert.equal(ended.stdout, "");
    assert.equal(ended.descendants.size, 0);
  }
});

for (const [moment, said, parts] of [
  ["while the guest boots", /it boots/, ["agent run --host alpha", "qemu-system"]],
  ["in the middle of a move", / pass 1 /, ["migrate guest", "relay/child.ts", "-incoming defer"]],
] as const) {
  test(`Ctrl-C ${moment} leaves nothing`, async () => {
    let sent = false;
    const ended = await demo([...SMALL, "--bandwidth", "40Mbit"], (text, child) => {
      if (sent || !said.test(text)) return;
      sent = true;
      setTimeout(() => child.kill("SIGINT"), 5 * WATCH_MS); // the watcher is to see all of it once
    });
    assert(sent, ended.stderr);
    assert.equal(ended.code, 130, ended.stderr);
    assert.equal(ended.stdout, "", "no report of a move that did not end");
    assert.match(ended.stderr, /ends early \(SIGINT\)/);
    assertSaw(ended, ...parts);
    assertNothingLeft(ended);
  });
}
