import { randomUUID } from "node:crypto";
import { GodwitError } from "../../errors/mod.ts";
import type { MigrationOrder, MigrationStatusBody } from "../api.ts";
import { balloonDevice } from "../balloon/mod.ts";
import type { AgentContext, Vm } from "../context.ts";
import { pastStatus } from "./past.ts";
import { precheckSource } from "./precheck.ts";
import type { SourceRecord } from "./records.ts";
import { SourceMove } from "./sourceMove.ts";
import type { Found } from "./sourceMoveParts.ts";

/** Ended moves whose progress figures are still kept in memory; their reports are in the history. */
const KEPT_MAX = 100;
/** Of these the newest are kept whole, with their VM, its consoles and their relays; of the others only what is told. */
const WHOLE_MAX = 4;

/** Moves that leave this host. */
export class Departures {
  readonly #context: AgentContext;
  /** By age. */
  readonly #moves = new Map<string, SourceMove | MigrationStatusBody>();

  constructor(context: AgentContext) {
    this.#context = context;
  }

  /** Errors: VM_UNKNOWN, VM_BUSY with who has it, VM_NOT_MOVABLE, BALLOON_MISSING. Everything later is told by the report. */
  async begin(order: MigrationOrder): Promise<string> {
    const context = this.#context;
    const id = `m-${randomUUID().slice(0, 8)}`;
    const release = context.vms.claim(order.vm, `migration ${id}`);
    try {
      const vm = context.vms.get(order.vm);
      await precheckSource(vm, order.strategy);
      if (order.balloon) await balloonDevice(vm);
      const move = new SourceMove({ context, order, id, vm, release });
      this.#moves.set(id, move);
      this.#forgetOld();
      move.start();
      return id;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Takes up a move of the agent before us; until it has settled, its VM is for nobody else. */
  resume(left: SourceRecord, vm: Vm | null, found: Found): void {
    const { id, order } = left;
    const release = vm === null ? () => undefined : this.#context.vms.claim(order.vm, `migration ${id}`);
    const move = new SourceMove({ context: this.#context, order, id, vm, release, left });
    this.#moves.set(id, move);
    move.resume(found);
  }

  /** The move while this agent knows it. */
  find(id: string): SourceMove | null {
    const found = this.#moves.get(id);
    return found instanceof SourceMove ? found : null;
  }

  /** Its report in the history is all that is told of it from now on. */
  forget(id: string): void {
    this.#moves.delete(id);
  }

  list(): MigrationStatusBody[] {
    return [...this.#moves.values()].reverse().map(statusOf);
  }

  /** Errors: MIGRATION_UNKNOWN. */
  status(id: string): MigrationStatusBody {
    const known = this.#moves.get(id);
    const found = known === undefined ? pastStatus(this.#context, id) : statusOf(known);
    if (found === null) throw new GodwitError("MIGRATION_UNKNOWN", { id, host: this.#context.host });
    return found;
  }

  /** Errors: MIGRATION_UNKNOWN, ORDER_TOO_LATE. */
  cancel(id: string): void {
    this.#get(id, "cancel").cancel();
  }

  /** Errors: MIGRATION_UNKNOWN, ORDER_TOO_LATE, USAGE. */
  startPostcopy(id: string): void {
    this.#get(id, "post-copy").startPostcopy();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#moves.keys()].map((id) => this.find(id)?.stop()));
  }

  #get(id: string, order: string): SourceMove {
    const move = this.find(id);
    if (move !== null) return move;
    throw new GodwitError("ORDER_TOO_LATE", { order, phase: this.status(id).phase });
  }

  #forgetOld(): void {
    let newer = this.#moves.size;
    for (const [id, move] of this.#moves) {
      newer -= 1;
      if (move instanceof SourceMove && (!move.status().ended || move.phase === "inDoubt")) continue;
      if (newer >= KEPT_MAX) this.#moves.delete(id);
      else if (newer >= WHOLE_MAX) this.#moves.set(id, statusOf(move)); // keeps its place
    }
  }
}

function statusOf(move: SourceMove | MigrationStatusBody): MigrationStatusBody {
  return move instanceof SourceMove ? move.status() : move;
}
