/** One sample: a move with everything that is measured around it. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Sample } from "../../src/bench/mod.ts";
import { isGodwitError } from "../../src/errors/mod.ts";
import type { BenchCell } from "../cells/mod.ts";
import { nowMs } from "../clock.ts";
import { clientFigures, emptyLedger, equalOf, ledgerOf } from "../ledger/mod.ts";
import type { Home, Load, MoveFacts, Operations, Stage, Way } from "../types.ts";
import { orInterrupted } from "./interrupt.ts";
import { energyNow } from "./machine.ts";
import { madeFreeable } from "./memory.ts";
import type { Step } from "./plan.ts";
import type { Slot } from "./slot.ts";
import { watchWire } from "./wire.ts";

const VERIFY_MS = 90_000;

/** How long is waited around a move. */
export interface Pauses {
  /** A guest that was stopped a moment ago catches up first. */
  readonly settleMs: number;
  /** The spans before the order and after the end in which a client is watched. */
  readonly clientMs: number;
}

export const PAUSES: Pauses = { settleMs: 1_000, clientMs: 3_000 };

export interface SampleContext {
  readonly stage: Stage;
  readonly cell: BenchCell;
  readonly load: Load;
  readonly slots: readonly Slot[];
  readonly pauses: Pauses;
  readonly signal: AbortSignal;
}

/**
 * Moves the guests of `slot` once by `step.system`, with the other homes paused. A move that fails and a harness that
 * fails are samples as well.
 * @throws Interrupted only
 */
export async function takeSample(context: SampleContext, slot: Slot, step: Step): Promise<Sample> {
  const { cell, signal } = context;
  const startedAt = new Date().toISOString();
  try {
    for (const other of context.slots) if (other !== slot) await orInterrupted(other.pause(), signal);
    const home = await orInterrupted(slot.running(), signal);
    const figures = await orInterrupted(measured(context, slot, home, step.system), signal);
    return { cell: cell.name, ...step, startedAt, ...figures };
  } catch (error) {
    if (signal.aborted) throw error;
    // what went wrong here may have left the home in any state
    await slot.close().catch(() => undefined);
    return { ...failedSample(cell, step, error), startedAt };
  }
}

/** A sample of which nothing is known but why: the harness itself failed, not the move. */
export function failedSample(cell: BenchCell, step: Step, error: unknown): Sample {
  return {
    cell: cell.name,
    ...step,
    startedAt: new Date().toISOString(),
    outcome: "failed",
    error: `the bench could not measure it: ${error instanceof Error ? error.message : String(error)}`,
    oracleClean: null,
    equal: null,
    ledger: emptyLedger(),
  };
}

type Figures = Pick<Sample, "outcome" | "error" | "oracleClean" | "equal" | "ledger">;

async function measured(context: SampleContext, slot: Slot, home: Home, system: string): Promise<Figures> {
  const { cell, load, stage, pauses } = context;
  const { clients } = slot;
  const way = stage.way(home.at);
  const { freeable } = cell;
  if (freeable !== undefined) await Promise.all(home.guests.map((guest) => madeFreeable(guest, freeable)));
  await sleep(pauses.settleMs);
  await takeAll(clients); // what ended while the guest caught up is of no span
  const beforeMs = nowMs();
  if (clients.length > 0) await sleep(pauses.clientMs);

  const energyBefore = energyNow();
  const watching = new AbortController();
  const watch = watchWire(way, watching.signal, context.signal);
  watch.catch(() => undefined); // told below, where it is waited for
  const countersBefore = await counters(way);
  let facts: readonly MoveFacts[];
  try {
    facts = await home.move(system, cell.timeLimitMs);
  } finally {
    watching.abort();
  }
  const countersAfter = await counters(way);
  const wirePoints = await watch;
  const energyAfter = energyNow();

  const orderedAtMs = Math.min(...facts.map((one) => one.orderedAtMs));
  const endedAtMs = Math.max(...facts.map((one) => one.endedAtMs));
  if (clients.length > 0) await sleep(Math.max(0, endedAtMs + pauses.clientMs - nowMs()));
  const untilMs = nowMs();
  const operations = await takeAll(clients);
  const client =
    load.unit === null || clients.length === 0
      ? null
      : clientFigures({
          unit: load.unit,
          operations,
          spans: {
            before: { fromMs: beforeMs, untilMs: orderedAtMs },
            during: { fromMs: orderedAtMs, untilMs: endedAtMs },
            after: { fromMs: endedAtMs, untilMs },
          },
          slaLimitMs: cell.slaLimitMs,
        });

  const verdict = home.usable ? await verify(home) : { clean: null, error: null };
  if (verdict.clean !== true) await slot.close(); // the next sample gets a guest without a past
  const errors = [...facts.map(({ error }) => error), verdict.error].filter((error) => error !== null);
  return {
    outcome: errors.length === 0 && verdict.clean === true ? "completed" : "failed",
    error: errors.length > 0 ? [...new Set(errors)].join("; ") : verdict.clean ? null : "the guest was lost",
    oracleClean: verdict.clean,
    equal: equalOf(facts),
    ledger: ledgerOf({
      facts,
      wireBytes: countersAfter.wire.since(countersBefore.wire),
      interfaceBytes:
        countersAfter.kernel === null || countersBefore.kernel === null
          ? null
          : countersAfter.kernel.since(countersBefore.kernel),
      wirePoints,
      energy: { before: energyBefore, after: energyAfter },
      client,
    }),
  };
}

function takeAll(clients: Slot["clients"]): Promise<Operations[]> {
  return Promise.all(clients.map((client) => client.take()));
}

class BothWays {
  readonly forward: number;
  readonly backward: number;

  constructor({ forward, backward }: { readonly forward: number; readonly backward: number }) {
    this.forward = forward;
    this.backward = backward;
  }

  since(earlier: BothWays): { forward: number; backward: number } {
    return { forward: this.forward - earlier.forward, backward: this.backward - earlier.backward };
  }
}

async function counters(way: Way): Promise<{ readonly wire: BothWays; readonly kernel: BothWays | null }> {
  const wire = new BothWays(await way.wireBytes());
  const kernel = way.interfaceBytes();
  return { wire, kernel: kernel === null ? null : new BothWays(kernel) };
}

/** What the oracles of all guests find after the move. A damaged guest is told from one that could not be asked. */
async function verify(
  home: Home,
): Promise<{ readonly clean: boolean | null; readonly error: string | null }> {
  const ends = await Promise.allSettled(home.guests.map((guest) => guest.verified(VERIFY_MS)));
  const errors: unknown[] = ends.flatMap((end) => (end.status === "rejected" ? [end.reason] : []));
  if (errors.length === 0) return { clean: true, error: null };
  const damaged = errors.some((error) => isGodwitError(error) && error.code === "GUEST_CORRUPT");
  const reason = errors.map((error) => (error instanceof Error ? error.message : String(error))).join("; ");
  return { clean: damaged ? false : null, error: reason };
}
