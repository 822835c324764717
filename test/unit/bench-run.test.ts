/**
 * Goal: the runner keeps its promises whatever homes do: every sample is there, failures as failures, lost homes are
 * booted anew, what cannot be measured is skipped with its reason, an interrupted run closes all and keeps what it has.
 * Method: the real runner over homes, stages and loads that only say what was done to them. No QEMU here, and nothing is
 * claimed of one; test/qemu/bench-run.test.ts runs the bench as a user does.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type BenchCell, CELLS, cellsNamed, GROUPS } from "../../bench/cells/mod.ts";
import { loadNamed } from "../../bench/loads/mod.ts";
import { madeFreeable } from "../../bench/run/memory.ts";
import {
  benchOptions,
  keepPartial,
  keepResult,
  newest,
  type Run,
  runBench,
  sampleLine,
} from "../../bench/run/mod.ts";
import { systemNamed } from "../../bench/systems/mod.ts";
import type {
  Home,
  HomeGuest,
  HostName,
  Load,
  LoadClient,
  MoveFacts,
  Stage,
  System,
} from "../../bench/types.ts";
import { parseResult } from "../../src/bench/mod.ts";

function now(): number {
  return performance.timeOrigin + performance.now();
}

function facts(error: string | null): MoveFacts {
  const orderedAtMs = now();
  return {
    orderedAtMs,
    migrateAtMs: orderedAtMs,
    endedAtMs: orderedAtMs + 10,
    downtimeMs: 1,
    blackoutMs: 2,
    gapAfterResumeMs: 2,
    requests: 0,
    passes: 1,
    streamBytes: 3,
    pages: null,
    cpuMs: { source: 4, target: 5 },
    guestCpuMs: 6,
    extraRssBytes: { source: 0, target: 0 },
    equal: null,
    timeline: [],
    error,
  };
}

interface World {
  /** What was done, in order. */
  readonly log: string[];
  readonly open: Set<string>;
  apart: boolean;
  network: boolean;
  /** null: the load has no client. */
  unit: string | null;
  /** Asked before each move: null moves, a text fails, "lost" loses the guest. */
  verdict: (system: string) => string | null;
  boot: (family: string) => void;
  oracle: () => void;
}

function world(): World {
  return {
    log: [],
    open: new Set(),
    apart: true,
    network: false,
    unit: null,
    verdict: () => null,
    boot: () => {},
    oracle: () => {},
  };
}

let made = 0;

function fakeHome(of: World, family: Home["family"]): Home {
  const name = `${family}-${made++}`;
  of.boot(family);
  of.open.add(name);
  of.log.push(`open ${family}`);
  let at: HostName = "a";
  let usable = true;
  return {
    family,
    guests: [{ index: 0, onLine: () => () => {}, say: () => {}, verified: async () => of.oracle() }],
    get at() {
      return at;
    },
    get usable() {
      return usable;
    },
    async move(system) {
      of.log.push(`move ${system}`);
      const error = of.verdict(system);
      if (error === "throw") throw new Error("the harness broke");
      usable = error !== "lost";
      if (error === null) at = at === "a" ? "b" : "a";
      return [facts(error)];
    },
    pause: () => void of.log.push(`pause ${family}`),
    resume: () => void of.log.push(`resume ${family}`),
    async close() {
      of.open.delete(name);
      of.log.push(`close ${family}`);
    },
  };
}

/** One operation every 10 ms of 1 ms, as long as it runs. */
function fakeClient(of: World): LoadClient {
  of.open.add("client");
  let sinceMs = now();
  return {
    async take() {
      const endedAtMs = Float64Array.from(
        { length: Math.floor((now() - sinceMs) / 10) },
        (_, i) => sinceMs + i * 10,
      );
      sinceMs = now();
      return { endedAtMs, latencyMs: endedAtMs.map(() => 1), requestsLost: 0, connectionsLost: 0 };
    },
    pause: async () => void of.log.push("quiet client"),
    resume: async () => void of.log.push("busy client"),
    async stop() {
      of.open.delete("client");
    },
  };
}

function fakeStage(of: World): Stage {
  of.open.add("stage");
  return {
    apart: of.apart,
    hosts: {} as Stage["hosts"],
    way: (from) => ({
      address: from,
      ports: { control: 1, relay: [], stock: [] },
      wireBytes: async () => ({ forward: 0, backward: 0 }),
      interfaceBytes: () => null,
    }),
    client: null,
    nic: () => null,
    async close() {
      of.open.delete("stage");
    },
  };
}

const system = (name: string, family: System["family"], lacks: string | null = null): System => ({
  name,
  about: `What ${name} is.`,
  family,
  lacks: async () => lacks,
});
const SYSTEMS = [system("stock", "stock"), system("godwit-precopy", "godwit")];

function run(of: World, more: Partial<Run> = {}) {
  const given: Run = {
    cells: cellsNamed(["quick-idle"]),
    systems: SYSTEMS,
    known: SYSTEMS,
    qemu: { version: "10.0.2", binary: "qemu", args: [] },
    accel: "tcg",
    repeats: 1,
    seed: 1,
    loopback: false,
    pauses: { settleMs: 1, clientMs: 50 },
    command: "npm run bench",
    signal: new AbortController().signal,
    onSample: () => {},
    onWord: () => {},
    ...more,
  };
  const load: Load = {
    ...{ name: "none", about: "", unit: of.unit, initrd: "" },
    network: of.network,
    append: () => "",
    start: async () => (of.unit === null ? null : fakeClient(of)),
  };
  return runBench(given, {
    openStage: async () => fakeStage(of),
    loadNamed: () => load,
    openHome: {
      stock: async () => fakeHome(of, "stock"),
      godwit: async () => fakeHome(of, "godwit"),
    },
  });
}

test("every combination is a sample, in a valid result, and nothing stays open", async () => {
  const of = world();
  const lines: string[] = [];
  const result = await run(of, {
    repeats: 2,
    onSample: (sample, done, all) => void lines.push(sampleLine(sample, done, all, 1000)),
  });
  parseResult(result, "test");
  assert.deepEqual(result.samples.map(({ system, repeat }) => `${system} ${repeat}`).sort(), [
    "godwit-precopy 0",
    "godwit-precopy 1",
    "stock 0",
    "stock 1",
  ]);
  assert(result.samples.every(({ outcome, oracleClean }) => outcome === "completed" && oracleClean === true));
  assert.equal(of.log.filter((line) => line === "open stock").length, 1, "one home per family and cell");
  assert.deepEqual([...of.open], []);
  assert.match(lines[0]!, /^1\/4 quick-idle .*total 10 ms.*about 3 s left$/);
});

test("while one family is measured the other one is paused", async () => {
  const of = world();
  await run(of, { repeats: 3 });
  const running = new Set<string>();
  for (const line of of.log) {
    const [verb, what] = line.split(" ") as [string, string];
    if (verb === "open" || verb === "resume") running.add(what);
    if (verb === "pause" || verb === "close") running.delete(what);
    if (verb === "move") assert.deepEqual([...running], [what.split("-")[0]], of.log.join(", "));
  }
});

test("a client is watched before, during and after, and is quiet while its guest is paused", async () => {
  const of = world();
  of.unit = "GET";
  const result = await run(of, { repeats: 2 });
  for (const { ledger } of result.samples) {
    const { unit, before, during, after } = ledger.client!;
    assert.equal(unit, "GET");
    assert(before.operations > 0 && before.durationMs > 48 && after.operations > 0 && after.durationMs > 48);
    assert.equal(during.durationMs.toFixed(0), "10");
  }
  const quiet = of.log.flatMap((line, i) => (line === "quiet client" ? [of.log[i + 1]] : []));
  assert(quiet.length > 0 && quiet.every((line) => line!.startsWith("pause ")), of.log.join(", "));
  const busy = of.log.flatMap((line, i) => (line === "busy client" ? [of.log[i - 1]] : []));
  assert(busy.length > 0 && busy.every((line) => line!.startsWith("resume ")), of.log.join(", "));
  assert.deepEqual([...of.open], []);
});

test("a failed move is a failed sample, and its home goes on; a lost home is booted anew", async () => {
  const of = world();
  const answers = ["cancelled after 5 s", "lost", null];
  of.verdict = () => answers.shift()!;
  const result = await run(of, { systems: [SYSTEMS[0]!], repeats: 3 });
  assert.deepEqual(
    result.samples.map(({ outcome, error, ledger }) => [outcome, error, ledger.totalTimeMs !== null]),
    [
      ["failed", "cancelled after 5 s", false],
      ["failed", "lost", false],
      ["completed", null, true],
    ],
  );
  assert.equal(of.log.filter((line) => line === "open stock").length, 2);
});

test("a harness that throws is a failed sample with the reason, never a lost one", async () => {
  const of = world();
  const answers = ["throw", null];
  of.verdict = () => answers.shift()!;
  const result = await run(of, { systems: [SYSTEMS[0]!], repeats: 2 });
  assert.match(result.samples[0]!.error!, /could not measure it: the harness broke/);
  assert.deepEqual(
    result.samples.map(({ outcome }) => outcome),
    ["failed", "completed"],
  );
  parseResult(result, "test");
});

test("a damaged guest makes a move fail that had succeeded, and is not used again", async () => {
  const of = world();
  let asked = 0;
  of.oracle = () => {
    if (asked++ === 0) throw new Error("CORRUPT page=1");
  };
  const result = await run(of, { systems: [SYSTEMS[0]!], repeats: 2 });
  assert.deepEqual(
    result.samples.map(({ outcome }) => outcome),
    ["failed", "completed"],
  );
  assert.match(result.samples[0]!.error!, /CORRUPT/);
  assert.equal(of.log.filter((line) => line === "open stock").length, 2);
});

test("a home that does not boot is tried twice, and all its samples say why", async () => {
  const of = world();
  let boots = 0;
  of.boot = (family) => {
    if (family !== "godwit") return;
    boots++;
    throw new Error("no kernel");
  };
  const result = await run(of, { repeats: 4 });
  assert.equal(boots, 2);
  const failed = result.samples.filter(({ outcome }) => outcome === "failed");
  assert.equal(failed.length, 4);
  assert(failed.every(({ system, error }) => system === "godwit-precopy" && /no kernel/.test(error!)));
});

test("what a QEMU lacks and what needs a network is skipped with the reason", async () => {
  const of = world();
  const old = system("stock-nozero", "stock", "this QEMU has no zero-page-detection");
  const lacking = await run(of, { systems: [old, SYSTEMS[0]!], known: [old, ...SYSTEMS] });
  assert.deepEqual(lacking.skipped, [
    { system: "stock-nozero", cell: null, reason: "this QEMU has no zero-page-detection" },
  ]);
  assert.equal(lacking.samples.length, 1);
  of.network = true;
  of.apart = false;
  const loopback = await run(of);
  assert.equal(loopback.samples.length, 0);
  assert.deepEqual(loopback.skipped.map(({ system, cell }) => [system, cell]).sort(), [
    ["godwit-precopy", "quick-idle"],
    ["stock", "quick-idle"],
  ]);
  assert.deepEqual([...of.open], []);
});

test("an interrupted run keeps what it has, says so, and closes everything", async () => {
  const of = world();
  const interrupt = new AbortController();
  const result = await run(of, { repeats: 3, signal: interrupt.signal, onSample: () => interrupt.abort() });
  assert.equal(result.samples.length, 1);
  assert.equal(result.interrupted, true);
  parseResult(result, "test");
  assert.deepEqual([...of.open], []);
});

test("cells: names are unique, groups and curves can be asked for, an unknown one names the known ones", () => {
  assert.equal(new Set(CELLS.map(({ name }) => name)).size, CELLS.length);
  const named = (...names: string[]) => cellsNamed(names).map(({ name }: BenchCell) => name);
  assert.deepEqual(named("idle", "words", "idle"), ["idle", "words"]);
  assert.equal(named("curve:dirtyRate").length, 6);
  assert.equal(named("curves").length, CELLS.filter(({ factor }) => factor !== null).length);
  assert.throws(() => cellsNamed(["wrods"]), { code: "BENCH_UNKNOWN", message: /wrods.*writers.*words/ });
  for (const cell of CELLS) {
    const needed = cell.workload.setMib + cell.fillMib + 64;
    assert(cell.memoryMib >= needed, `${cell.name} needs ${needed} MiB for what is in it`);
  }
});

test("what cells name is there: loads, systems", () => {
  for (const { load, systems } of CELLS) {
    assert.equal(loadNamed(load).name, load);
    for (const name of systems ?? []) assert.equal(systemNamed(name).name, name);
  }
});

test("memory that need not move is made in order, and a guest that cannot says why", async () => {
  const said: string[] = [];
  let hear: (line: string, atMs: number) => void = () => {};
  const answers = new Map([
    ["uncache", "F uncached"],
    ["fill 96", "F filled bytes=100663296"],
    ["free", "F free"],
    ["cache 64", "F cached bytes=67108864"],
  ]);
  const guest: HomeGuest = {
    index: 0,
    onLine: (listener) => {
      hear = listener;
      return () => {};
    },
    say(command) {
      said.push(command);
      hear(answers.get(command) ?? "E cache: no disk", 0);
    },
    verified: async () => {},
  };
  await madeFreeable(guest, { freedMib: 96, cachedMib: 64 });
  assert.deepEqual(said, [...answers.keys()]);
  answers.delete("cache 64");
  await assert.rejects(madeFreeable(guest, { freedMib: 96, cachedMib: 64 }), /"cache 64": E cache: no disk/);
});

test("no name is a cell's and a group's", () => {
  const groups: ReadonlySet<string> = new Set(GROUPS);
  assert.deepEqual(
    CELLS.filter(({ name }) => groups.has(name)).map(({ name }) => name),
    [],
  );
});

test("options: quick by default, scopes exclude each other, nonsense is refused", (t) => {
  t.mock.method(process.stderr, "write", () => true);
  const options = benchOptions([]);
  assert(typeof options !== "number");
  assert.deepEqual([options.cells, options.full, options.repeats, options.seed], [null, false, 3, 1]);
  const given = benchOptions(["--cells", "a, b", "--systems", "x", "--repeat", "5", "--json"]);
  assert(typeof given !== "number");
  assert.deepEqual([given.cells, given.systems, given.repeats, given.json], [["a", "b"], ["x"], 5, true]);
  for (const wrong of [
    ["--full", "--cells", "a"],
    ["--repeat", "0"],
    ["--repeat", "2.5"],
    ["--cells", "a,,b"],
    ["--seed", "-1"],
    ["stray"],
    ["--frobnicate"],
  ])
    assert.equal(benchOptions(wrong), 2, wrong.join(" "));
});

test("the newest QEMU is so by number, not by spelling", () => {
  const of = (...versions: string[]) => newest(versions.map((version) => ({ version })))?.version;
  assert.equal(of("7.2.22", "10.0.2"), "10.0.2");
  assert.equal(of("10.0.2", "7.2.22", "10.0.10"), "10.0.10");
  assert.equal(of(), undefined);
});

test("a result is kept whole under its time and commit, and never replaces another", async () => {
  const folder = mkdtempSync(join(tmpdir(), "gw-bench-keep-"));
  try {
    const result = await run(world());
    keepPartial({ ...result, interrupted: true }, join(folder, "new"));
    assert.equal(readdirSync(join(folder, "new")).filter((name) => name.endsWith(".partial.json")).length, 1);
    const first = keepResult(result, join(folder, "new"));
    assert.equal(readdirSync(join(folder, "new")).length, 1, "what was kept for the worst case is gone");
    const second = keepResult(result, join(folder, "new"));
    assert.match(first, /^\d{4}-\d\d-\d\dT\d{4}-\w+$/);
    assert.equal(second, `${first}-2`);
    assert.deepEqual(readdirSync(join(folder, "new")).sort(), [`${first}-2.json`, `${first}.json`].sort());
    const path = join(folder, "new", `${first}.json`);
    assert.deepEqual(parseResult(JSON.parse(readFileSync(path, "utf8")), path), result);
    const broken = { ...result, repeats: 0 };
    assert.throws(() => keepResult(broken, folder), { code: "BENCH_RESULT_INVALID" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
