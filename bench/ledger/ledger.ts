import type { ClientFigures, Ledger } from "../../src/bench/mod.ts";
import type { MoveFacts } from "../types.ts";
import { type EnergyReading, energyOf } from "./energy.ts";
import { type WirePoint, withWireBytes } from "./wire.ts";

type BothWays = Ledger["wireBytes"];

export interface LedgerInput {
  /** One per guest, at least one. */
  readonly facts: readonly MoveFacts[];
  /** Of the shaper, from before the order until the moves were over. */
  readonly wireBytes: BothWays;
  /** Of the kernel's interface over the same time. */
  readonly interfaceBytes: BothWays | null;
  readonly wirePoints: readonly WirePoint[];
  readonly energy: {
    readonly before: readonly EnergyReading[] | null;
    readonly after: LedgerInput["energy"]["before"];
  };
  readonly client: ClientFigures | null;
}

/**
 * The cost of one sample. Of several guests at once the times are from the first order to the last end and the longest
 * of each kind, and the rest is summed; the timeline is that of the guest that came last.
 * Of a move that failed there is no total time, however long it took to fail.
 */
export function ledgerOf(input: LedgerInput): Ledger {
  const { facts, wireBytes, interfaceBytes, wirePoints, client } = input;
  const last = facts.reduce((a, b) => (b.endedAtMs > a.endedAtMs ? b : a));
  const orderedAtMs = Math.min(...facts.map((one) => one.orderedAtMs));
  const migrateAtMs = least(facts.map((one) => one.migrateAtMs));
  const completed = facts.every(({ error }) => error === null);
  const bothHosts = (of: (one: MoveFacts) => Ledger["cpuMs"]) => ({
    source: sum(facts.map((one) => of(one).source)),
    target: sum(facts.map((one) => of(one).target)),
  });
  const cpuMs = bothHosts((one) => one.cpuMs);
  const pages = facts.map((one) => one.pages);
  return {
    totalTimeMs: completed ? last.endedAtMs - orderedAtMs : null,
    migrateTimeMs: completed && migrateAtMs !== null ? last.endedAtMs - migrateAtMs : null,
    downtimeMs: most(facts.map((one) => one.downtimeMs)),
    blackoutMs: most(facts.map((one) => one.blackoutMs)),
    gapAfterResumeMs: most(facts.map((one) => one.gapAfterResumeMs)),
    passes: most(facts.map((one) => one.passes)),
    wireBytes,
    interfaceBytes,
    streamBytes: total(facts.map((one) => one.streamBytes)),
    pages: pages.every((one) => one !== null)
      ? { sent: sum(pages.map((one) => one.sent)), zero: sum(pages.map((one) => one.zero)) }
      : null,
    cpuMs,
    guestCpuMs: total(facts.map((one) => one.guestCpuMs)),
    extraRssBytes: bothHosts((one) => one.extraRssBytes),
    energyJoules: energyOf(input.energy.before, input.energy.after, cpuMs.source + cpuMs.target),
    client,
    ...(last.engine !== undefined && { engine: last.engine }),
    ...(last.switchover !== undefined && { switchover: last.switchover }),
    requests: total(facts.map((one) => one.requests)),
    ...(last.paging !== undefined && { paging: last.paging }),
    timeline: withWireBytes(last.timeline, wirePoints, last.orderedAtMs),
  };
}

/** The ledger of a sample that never came to a move: the harness itself failed. Nothing was measured, all is unknown. */
export function emptyLedger(): Ledger {
  return {
    totalTimeMs: null,
    migrateTimeMs: null,
    downtimeMs: null,
    blackoutMs: null,
    passes: null,
    wireBytes: { forward: 0, backward: 0 },
    interfaceBytes: null,
    streamBytes: null,
    pages: null,
    cpuMs: { source: 0, target: 0 },
    guestCpuMs: null,
    extraRssBytes: { source: 0, target: 0 },
    energyJoules: { model: "cpu-time", joules: 0 },
    client: null,
    timeline: [],
  };
}

/** Digest proof of all guests: one that differs decides; true only when every one was proven. */
export function equalOf(facts: readonly MoveFacts[]): boolean | null {
  if (facts.some(({ equal }) => equal === false)) return false;
  return facts.every(({ equal }) => equal === true) ? true : null;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

/** The sum, unless one of them is unknown. */
function total(values: readonly (number | null)[]): number | null {
  return values.every((value) => value !== null) ? sum(values) : null;
}

function most(values: readonly (number | null)[]): number | null {
  return values.every((value) => value !== null) ? Math.max(...values) : null;
}

function least(values: readonly (number | null)[]): number | null {
  return values.every((value) => value !== null) ? Math.min(...values) : null;
}
