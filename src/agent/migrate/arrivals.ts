import { GodwitError, type WireError } from "../../errors/mod.ts";
import { type TargetState, targetSettled } from "../../migration/mod.ts";
import { DEFAULT_QEMU } from "../../qemu/mod.ts";
import type { AgentContext } from "../context.ts";
import type { Answer, Prepared, PrepareOrder, Recovered, TargetFacts } from "./peerSchemas.ts";
import { precheckTarget } from "./precheck.ts";
import type { TargetRecord } from "./records.ts";
import { type LeftArrival, TargetMove } from "./targetMove.ts";

/** Moves that are remembered with their VM and their figures, for reports of a moment ago; phases are in the history. */
const KEPT_MAX = 16;

/** Below the asking side's limit for one call. */
const DECIDE_MS = 2_000;

/** Moves that arrive at this host. It is the arbiter of each: its record says who owns the guest. */
export class Arrivals {
  readonly #context: AgentContext;
  readonly #moves = new Map<string, TargetMove>();
  /** Given up by the source before we had begun with them. */
  readonly #refused = new Set<string>();

  constructor(context: AgentContext) {
    this.#context = context;
  }

  /** Errors: those of `precheckTarget`, of starting QEMU and relay, PEER_ABSENT, CANCELLED. Nothing is left then. */
  async prepare(given: PrepareOrder, by: string | null): Promise<Prepared> {
    const context = this.#context;
    if (context.peerAddress === null) throw new GodwitError("PEER_ABSENT", { host: context.host });
    if (this.#record(given.id) !== null || this.#moves.has(given.id)) {
      throw new GodwitError("USAGE", { problem: `the migration ${given.id} was prepared before` });
    }
    // Which program runs here is this host's to say, whatever the source's spec names.
    const order = { ...given, spec: { ...given.spec, qemu: programOf(context) }, by };
    await precheckTarget(context, order);
    if (this.#refused.has(order.id)) throw new GodwitError("CANCELLED", {});
    const move = new TargetMove(context, order);
    this.#moves.set(order.id, move);
    this.#forgetOld();
    return move.prepare();
  }

  /** Takes up a move of the agent before us. */
  resume(left: LeftArrival, qemu: "gone" | "completed" | "other"): void {
    const { record } = left;
    const move = new TargetMove(this.#context, { ...record.order, ticket: "" }, left);
    this.#moves.set(record.id, move);
    move.resume(left, qemu);
  }

  /** The move while this agent knows it. */
  find(id: string): TargetMove | null {
    return this.#moves.get(id) ?? null;
  }

  /** Only the host that ordered a move decides on it. Errors: TLS_NOT_AUTHORISED. */
  checkOrderer(id: string, by: string | null, address: string): void {
    const orderer = this.#moves.get(id)?.by ?? this.#record(id)?.order.by ?? null;
    if (orderer === null || orderer === by) return;
    const reason = `the migration ${id} was ordered by host ${orderer}`;
    throw new GodwitError("TLS_NOT_AUTHORISED", {
      ...{ by: this.#context.host, address, who: `host ${by}`, reason },
    });
  }

  /** Errors: MIGRATION_UNKNOWN. */
  async commit(id: string): Promise<Answer> {
    await this.#moves.get(id)?.decide({ type: "commit" }, DECIDE_MS);
    return this.word(id);
  }

  /** Idempotent; a migration that we never heard of is discarded from now on. */
  async discard(id: string, error: WireError): Promise<Answer> {
    const move = this.#moves.get(id);
    if (move) await move.decide({ type: "discard", error }, DECIDE_MS);
    else if (this.#record(id) === null) {
      this.#refused.add(id);
      return { phase: "discarded", error };
    }
    return this.word(id);
  }

  /** Errors: MIGRATION_UNKNOWN, and those of QEMU and of starting a relay. */
  async recover(id: string, ticket: string): Promise<Recovered> {
    const move = this.#moves.get(id);
    return move ? move.recover(ticket) : { ...this.word(id), relayAddress: null };
  }

  /** Errors: MIGRATION_UNKNOWN. */
  word(id: string): Answer {
    const { phase, error } = this.#moves.get(id) ?? this.#recorded(id);
    return { phase, error };
  }

  /** Errors: MIGRATION_UNKNOWN. */
  facts(id: string): TargetFacts {
    const move = this.#moves.get(id);
    if (move) return move.facts();
    const { phase } = this.#recorded(id);
    return { phase, resumedAtMs: null, beatsAtMs: null, cpuMs: null, rssBytes: null };
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#moves.values()].map((move) => move.stop()));
  }

  #forgetOld(): void {
    for (const [id, { phase }] of this.#moves) {
      if (this.#moves.size <= KEPT_MAX) return;
      if (targetSettled(phase)) this.#moves.delete(id);
    }
  }

  #recorded(id: string): TargetState {
    const record = this.#record(id);
    if (record === null) throw new GodwitError("MIGRATION_UNKNOWN", { id, host: this.#context.host });
    return record.state;
  }

  #record(id: string): TargetRecord | null {
    const record = this.#context.history.get<TargetRecord>("state", id);
    return record?.side === "target" ? record : null;
  }
}

function programOf(context: AgentContext) {
  const { binary, args } = context.qemu ?? DEFAULT_QEMU;
  return { binary, args: [...args] };
}
