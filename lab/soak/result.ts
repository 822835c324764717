/** What a soak found: the form of its file, and the figures that are made of it. Pure. */
import { medianSorted, quantileSorted } from "simple-statistics";
import { STRATEGIES } from "../../src/migration/mod.ts";
import type { Held } from "./host.ts";
import type { MoveRow } from "./move.ts";
import type { Fault, HostName } from "./plan.ts";

/** What the agents held at one moment, nothing under way. */
export interface Sample {
  /** Moves that had been made. */
  readonly afterMoves: number;
  readonly atMs: number;
  readonly agents: Readonly<Record<HostName, Held>>;
  /** Everything that the soak has started and that runs: agents, their spare relays, the guest's QEMU. */
  readonly processes: number;
}

export interface SoakResult {
  readonly kind: "godwit soak";
  readonly startedAt: string;
  readonly tookMs: number;
  readonly commit: string;
  /** Something in the checkout was not committed. */
  readonly dirty: boolean;
  readonly machine: { readonly processor: string; readonly cores: number; readonly node: string };
  readonly qemu: string;
  readonly seed: number;
  readonly first: number;
  /** How many moves were asked for. */
  readonly moves: number;
  readonly guest: { readonly memoryMib: number; readonly setMib: number };
  readonly rows: readonly MoveRow[];
  readonly samples: readonly Sample[];
  /** What must not happen and did, with the number of the move; null: nothing. */
  readonly failure: { readonly number: number; readonly what: string } | null;
  readonly summary: Summary;
}

/** Of what an agent holds: the median of the first quarter of the samples, and of the last. */
export interface Trend {
  readonly first: number;
  readonly last: number;
  /** last / first - 1. */
  readonly growth: number;
  readonly flat: boolean;
}

export type HeldName = keyof Held;

export interface Summary {
  readonly moves: Readonly<Record<string, number>>;
  readonly outcomes: Readonly<Record<string, number>>;
  /** By kind of fault: planned, and how many of them the move was still there for. */
  readonly faults: Readonly<Record<string, { readonly planned: number; readonly done: number }>>;
  readonly restarts: number;
  /** Of completed moves whose heartbeats were heard; null: there was none. */
  readonly blackoutMs: { readonly all: Spread | null; readonly withoutFault: Spread | null };
  readonly totalTimeMs: Spread | null;
  /** Of host a's agent, which was never started again; null: too few samples. */
  readonly trends: Readonly<Record<HeldName, Trend>> | null;
}

export interface Spread {
  readonly count: number;
  readonly median: number;
  readonly p95: number;
  readonly most: number;
}

export const FLAT_WITHIN = 0.1;
/** A quarter of fewer samples is one sample. */
export const SAMPLES_MIN = 8;

/** @param samples  in the order of time */
export function summaryOf(rows: readonly MoveRow[], samples: readonly Sample[]): Summary {
  const completed = rows.filter(({ status }) => status === "completed");
  const faulty = rows.filter(({ plan }) => plan.fault !== null);
  return {
    moves: Object.fromEntries(
      STRATEGIES.map((name) => [name, rows.filter(({ plan }) => plan.order.strategy === name).length]),
    ),
    outcomes: countBy(rows.map(({ status, error }) => (error === null ? status : `${status}, ${error}`))),
    faults: Object.fromEntries(
      [...Map.groupBy(faulty, ({ plan }) => faultName(plan.fault!))].map(([name, those]) => [
        name,
        { planned: those.length, done: those.filter(({ fault }) => fault === "done").length },
      ]),
    ),
    restarts: rows.filter(({ plan }) => plan.restart !== null).length,
    blackoutMs: {
      all: spreadOf(completed.flatMap(({ blackoutMs }) => blackoutMs ?? [])),
      withoutFault: spreadOf(
        completed.filter(({ fault }) => fault !== "done").flatMap(({ blackoutMs }) => blackoutMs ?? []),
      ),
    },
    totalTimeMs: spreadOf(completed.map(({ totalTimeMs }) => totalTimeMs)),
    trends: trendsOf(samples.map(({ agents }) => agents.a)),
  };
}

/** @returns null with fewer than 8 samples */
export function trendsOf(held: readonly Held[]): Readonly<Record<HeldName, Trend>> | null {
  if (held.length < SAMPLES_MIN) return null;
  const of = (name: HeldName) => trendOf(held.map((sample) => sample[name]));
  return {
    rssBytes: of("rssBytes"),
    heapBytes: of("heapBytes"),
    externalBytes: of("externalBytes"),
    descriptors: of("descriptors"),
  };
}

function trendOf(values: readonly number[]): Trend {
  const quarter = Math.floor(values.length / 4);
  const first = medianOf(values.slice(0, quarter));
  const last = medianOf(values.slice(-quarter));
  const growth = last / first - 1;
  return { first, last, growth, flat: growth <= FLAT_WITHIN };
}

export function faultName(fault: Fault): string {
  if (fault.kind === "cut") return `cut (${fault.manner}) in ${fault.at.phase}`;
  if (fault.kind === "kill") return `${fault.relay} relay killed in ${fault.at.phase}`;
  return `cancel in ${fault.at.phase}`;
}

function spreadOf(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((one, other) => one - other);
  const [median, p95] = [quantileSorted(sorted, 0.5), quantileSorted(sorted, 0.95)];
  return { count: sorted.length, median, p95, most: sorted.at(-1)! };
}

function medianOf(values: readonly number[]): number {
  return medianSorted(values.toSorted((one, other) => one - other));
}

function countBy(names: readonly string[]): Record<string, number> {
  return Object.fromEntries([...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length]));
}
