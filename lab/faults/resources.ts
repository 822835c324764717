/** What runs out or goes wrong without anybody dying: the line, the disk, descriptors, the clock. */
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { AgentHost, Status } from "./agentHost.ts";
import { strike } from "./agentHost.ts";
import { Hop, type Way } from "./hop.ts";
import { type KillMove, KillStand, type StrikeOptions } from "./killStand.ts";
import { endStand, standOf } from "./rig.ts";
import type { Pair } from "./settled.ts";
import { CLOCK_SIGNAL, writeShiftMs } from "./trapFile.ts";
import { caught } from "./tries.ts";
import type { FaultCase, FaultPromise } from "./types.ts";

const SETTLE_MS = 120_000;
/** Slow enough that post-copy lasts some seconds. */
const BYTES_PER_SEC = 8_000_000;
const SLOW_BYTES_PER_SEC = 1_000;
const SLOW_MS = 10_000;
/** How long a disk stays full or descriptors are few, when the move does not end before. */
const SHORTAGE_MS = 60_000;
const DISK_BYTES = 16 << 20;
const HOUR_MS = 3_600_000;
const SIDES = ["source", "target"] as const;
type Side = (typeof SIDES)[number];

interface When {
  readonly strategy: "precopy" | "postcopy";
  readonly moment: string;
  /** Where the source's agent tells the moment. Else it is looked for. */
  readonly line?: string;
  readonly when: (status: Status) => boolean;
}

const DURING: readonly When[] = [
  {
    strategy: "precopy",
    moment: "first pass",
    when: ({ phase, streamBytesPerSec }) => phase === "precopy" && (streamBytesPerSec ?? 0) > 0,
  },
  { strategy: "postcopy", moment: "early post-copy", line: `"to":"postcopy"`, when: () => true },
];
const BEFORE = "before the order";

interface Trouble {
  readonly strategy: "precopy" | "postcopy";
  readonly moment: string;
  readonly fault: string;
  readonly promise: FaultPromise;
  /** Stands with the same hosts have the same name. */
  readonly stand: string;
  readonly open?: (...given: Parameters<typeof KillStand.open>) => Promise<KillStand>;
  readonly parts: (stand: KillStand) => Promise<Pick<StrikeOptions, "strike"> & Partial<StrikeOptions>>;
}

function caseOf({ strategy, moment, fault, promise, stand: kind, open, parts }: Trouble): FaultCase {
  const name = `${strategy}/${moment}/${fault}`;
  return {
    ...{ name, group: "resources", system: "godwit", strategy, moment, fault, promise },
    run: (qemu, signal) =>
      caught(async () => {
        const stand = await standOf(kind, qemu, () => (open ?? KillStand.open)(qemu, signal));
        const order = { strategy, bandwidthBytesPerSec: BYTES_PER_SEC };
        return await stand.run({ name, signal, order, limitMs: SETTLE_MS, ...(await parts(stand)) });
      }),
    end: endStand,
  };
}

/** A fault at a state of the move. */
function at(when: When, act: (move: KillMove) => void | Promise<void>): Pick<StrikeOptions, "strike"> {
  return {
    strike: async (move) => {
      await momentOf(when, move);
      const atMs = performance.now();
      await act(move);
      return { atMs };
    },
  };
}

/** A line is told at once; a state may have passed before it is asked for. */
async function momentOf({ line, when }: When, move: KillMove): Promise<void> {
  let told = line === undefined;
  const off = move.source.onLine((said) => {
    told ||= said.includes(move.id) && said.includes(line ?? "");
  });
  try {
    await move.until((status) => told && when(status));
  } finally {
    off();
  }
}

function* lines(): Generator<Trouble> {
  const through =
    (act: (hop: Hop, move: KillMove) => void | Promise<void>, when: When) => async (stand: KillStand) => {
      const hop = await Hop.open(stand.ports);
      return { ...at(when, (move) => act(hop, move)), reach: Hop.to, undo: () => hop.close() };
    };
  const swallowed: [string, Way[]][] = [
    ["what the source sends", ["forward"]],
    ["what the target answers", ["backward"]],
    ["everything", ["forward", "backward"]],
  ];
  for (const when of DURING) {
    for (const [what, ways] of swallowed)
      yield {
        ...{ ...when, fault: `half-open: ${what} is swallowed`, promise: "completes", stand: "kills" },
        parts: through((hop) => hop.swallow(...ways), when),
      };
    const slowly = async (hop: Hop, { signal }: KillMove) => {
      hop.slow(SLOW_BYTES_PER_SEC);
      await sleep(SLOW_MS, undefined, { signal });
      hop.slow(0);
    };
    yield {
      ...{ ...when, fault: "slow reader: 1 kB/s for 10 s", promise: "completes", stand: "kills" },
      parts: through(slowly, when),
    };
  }
}

/** Agents whose state is on a small disk of its own, which goes with their processes. */
function openSmall(...[qemu, signal]: Parameters<typeof KillStand.open>): Promise<KillStand> {
  return KillStand.open(qemu, signal, (dir) => {
    const disk = join(dir, "disk");
    mkdirSync(disk, { recursive: true });
    const mount = `mount -t tmpfs -o mode=0700,size=${DISK_BYTES} godwit "$0" && exec "$@"`;
    return { stateDir: join(disk, "s"), wrapper: ["unshare", "--mount", "sh", "-c", mount, disk] };
  });
}

function fill(host: AgentHost): void {
  const file = openSync(fillerOf(host), "w");
  try {
    for (const bytes of [Buffer.alloc(65_536), Buffer.alloc(512)]) for (;;) if (!tryWrite(file, bytes)) break;
  } finally {
    closeSync(file);
  }
}

/** Whether there was room. */
function tryWrite(file: number, bytes: Buffer): boolean {
  try {
    return writeSync(file, bytes) === bytes.length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOSPC") return false;
    throw error;
  }
}

const fillerOf = (host: AgentHost): string => join(host.seen(host.stateDir), "filler");
const empty = (host: AgentHost): void => rmSync(fillerOf(host), { force: true });

/** So many descriptors more than the agent has now; null: as many as there may be. */
function limitDescriptors(host: AgentHost, more: number | null): void {
  const { agentPid } = host.marks;
  const limits = readFileSync(`/proc/${agentPid}/limits`, "utf8");
  const most = /^Max open files +\S+ +(\d+)/m.exec(limits)![1]!;
  const limit = more === null ? most : readdirSync(`/proc/${agentPid}/fd`).length + more;
  execFileSync("prlimit", ["--pid", `${agentPid}`, `--nofile=${limit}:`]);
}

/** Something is short from a moment on, until the move ends or a while has passed. */
function* shortages(): Generator<Trouble> {
  const waited = async ({ ended, signal }: KillMove) => {
    const endMs = performance.now() + SHORTAGE_MS;
    while (performance.now() < endMs && !(await ended())) await sleep(100, undefined, { signal });
  };
  const kinds = [
    {
      ...{ fault: (side: Side) => `${side}'s disk is full`, stand: "small disks", open: openSmall },
      ...{ begin: fill, end: empty },
    },
    {
      ...{ fault: (side: Side) => `${side} agent has few descriptors`, stand: "kills", open: KillStand.open },
      begin: (host: AgentHost, early: boolean) => limitDescriptors(host, early ? 6 : 0),
      end: (host: AgentHost) => limitDescriptors(host, null),
    },
  ];
  for (const { fault, stand, open, begin, end } of kinds)
    for (const side of SIDES) {
      const common = { fault: fault(side), promise: "survives", stand, open } as const;
      const undo = (pair: Pair): void => end(pair[side]);
      const early = async () => ({
        before: (pair: Pair) => begin(pair[side], true),
        strike: async (move: KillMove) => {
          const atMs = performance.now();
          await waited(move);
          end(move[side]);
          return { atMs };
        },
        undo,
      });
      yield { ...common, strategy: "precopy", moment: BEFORE, parts: early };
      for (const when of DURING) {
        const act = async (move: KillMove) => {
          begin(move[side], false);
          await waited(move);
          end(move[side]);
        };
        yield { ...common, ...when, parts: async () => ({ ...at(when, act), undo }) };
      }
    }
}

function* clocks(): Generator<Trouble> {
  const shift = (host: AgentHost, ms: number): void => {
    writeShiftMs(host.trapPath, ms);
    strike(host.marks.agentPid, CLOCK_SIGNAL);
  };
  for (const when of DURING)
    for (const side of SIDES)
      for (const hours of [-24, 24])
        yield {
          ...{ ...when, promise: "completes", stand: "kills" },
          fault: `the ${side} agent's clock jumps by ${hours} h`,
          parts: async () => ({
            ...at(when, (move) => shift(move[side], hours * HOUR_MS)),
            undo: (pair: Pair) => shift(pair[side], 0),
          }),
        };
}

export const resourceCases: readonly FaultCase[] = [...lines(), ...shortages(), ...clocks()].map(caseOf);
