/**
 * What an agent that starts again finds: records as a dead agent would leave them, in a real history. The VM and its
 * monitor are stand-ins that note what is asked of them; the other agent cannot be reached.
 */
import { pino } from "pino";
import { systemClock } from "../../src/agent/clock.ts";
import type { AgentContext, Vm } from "../../src/agent/context.ts";
import { SqliteHistory } from "../../src/agent/history.ts";
import { Arrivals } from "../../src/agent/migrate/arrivals.ts";
import { Departures } from "../../src/agent/migrate/departures.ts";
import type { SourceRecord, TargetRecord } from "../../src/agent/migrate/records.ts";
import { settleLeftOver } from "../../src/agent/migrate/restart.ts";
import { type SourcePhase, sourceStart, type TargetPhase, targetStart } from "../../src/migration/mod.ts";
import { until } from "./pair.ts";

export interface LeftOverOptions {
  readonly incoming?: boolean;
  /** The VM's QEMU lives. Default: true. */
  readonly alive?: boolean;
  /** What query-migrate says. */
  readonly migration?: string;
  readonly balloonWorks?: boolean;
}

export type Agents = ReturnType<typeof leftOver>;

/** An agent's world; `restart` is what it does first. */
export function leftOver(options: LeftOverOptions = {}) {
  /** Orders that change something, and what was asked of the registry. */
  const asked: string[] = [];
  const given: number[] = [];
  let running = false;
  const execute = async (command: string, args: { value?: number } = {}) => {
    if (command === "cont") running = true;
    if (command === "query-status") return { running, status: running ? "running" : "paused" };
    if (command === "query-migrate") return options.migration ? { status: options.migration } : {};
    if (command === "qom-list") return [{ name: "balloon0", type: "child<virtio-balloon-pci>" }];
    if (command === "balloon" && options.balloonWorks === false) throw new Error("no");
    if (command === "balloon") given.push(args.value!);
    else asked.push(command);
    return {};
  };
  const monitor = {
    ...{ execute, main: { isClosed: false }, onEvent: () => () => undefined },
    closed: new Promise(() => undefined),
  };
  const spec = { name: "vm", heartbeat: false };
  const parts = { name: "vm", spec, monitor, serial: null, qemuVersion: "7.2.22", pid: 1, dir: "/" };
  const vm = { ...parts, incoming: options.incoming ?? false } as unknown as Vm;
  const history = new SqliteHistory(":memory:", systemClock);
  const here = options.alive === false ? null : vm;
  const vms = {
    ...{ find: () => here, takeOver: async () => here, claim: () => () => undefined },
    discard: async () => void asked.push("discard"),
    confirm: async () => void asked.push("confirm"),
  };
  const log = pino({ level: "silent" });
  const context = {
    ...{ host: "h", clock: systemClock, history, vms, log, insecure: false, tls: null },
    events: { emit: () => undefined, on: () => () => undefined },
  } as unknown as AgentContext;
  const start = async () => {
    const moves = { departures: new Departures(context), arrivals: new Arrivals(context) };
    await settleLeftOver(context, moves, new AbortController().signal);
    return moves;
  };
  /** Restarts, and waits for this source phase or, without one, for the target's end. */
  const restart = async (phase: SourcePhase | null) => {
    const { departures, arrivals } = await start();
    const settled = () => {
      const arrival = arrivals.find("m-1")?.phase;
      if (phase === null) return arrival === undefined || ["running", "discarded", "lost"].includes(arrival);
      return departures.find("m-1") === null || departures.status("m-1").phase === phase;
    };
    await until(async () => settled(), `${phase ?? "the target's end"}`, 30_000, 5);
    return { departures, arrivals };
  };
  return { asked, given, context, history, restart };
}

const COMMON = { id: "m-1", vm: "vm", qemuPid: null, relay: null, section: null };

/** The record of a move that leaves. */
export function departed(phase: SourcePhase, more: Partial<SourceRecord> = {}): SourceRecord {
  const [strategy, onTimeout] = ["precopy", "abort"] as const;
  const order = { vm: "vm", to: "127.0.0.1:1", strategy, onTimeout } as SourceRecord["order"];
  const at = new Date(systemClock.wallMs() - 1000).toISOString();
  const state = { ...sourceStart({ strategy, onTimeout }), phase, equal: true };
  return { ...COMMON, side: "source", to: order.to, order, startedAt: at, since: at, state, ...more };
}

/** The record of a move that arrives. */
export function arrived(
  phase: TargetPhase,
  delivered = false,
  more: Partial<TargetRecord> = {},
): TargetRecord {
  const since = new Date(systemClock.wallMs() - 1000).toISOString();
  const spec = { name: "vm", heartbeat: false };
  const order = { ...{ id: "m-1", sourceHost: "s", spec }, balloon: { sizeBytes: null, auto: false } };
  const state = { ...targetStart(), phase, delivered, equal: true };
  const record = { ...COMMON, side: "target", order, since, state, ...more };
  return record as unknown as TargetRecord;
}
