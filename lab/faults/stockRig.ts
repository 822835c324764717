import { setTimeout as sleep } from "node:timers/promises";
import type { QemuArtefact, Shaper } from "../mod.ts";
import { freePorts, type LineOptions, openStockLine } from "./proxy.ts";
import { came, type Stand, TooLate } from "./rig.ts";
import type { MoveBytes } from "./rigMove.ts";
import { wallMs } from "./rigRuns.ts";
import { StockMove, StockVm } from "./stockMove.ts";
import type { FaultSeen, Runs } from "./types.ts";

/** Without a word from the source for so long after the fault and its end, the operator gives up. */
const SETTLE_MS = 40_000;
const VERIFY_MS = 240_000;
const BEAT_MS = 10_000;
const RUNS_AGAIN_MS = 10_000;

/** What a case does to a move; resolves when the fault has been put in, with what there is to say of it. */
export type StockFault = (move: StockMove) => Promise<string | undefined>;

/** A guest that goes from one stock QEMU to the next. */
export class StockStand implements Stand {
  usable = true;
  readonly #qemu: QemuArtefact;
  readonly #lineOptions: LineOptions;
  readonly #bytes = new Map<boolean, MoveBytes>();
  #home: StockVm;

  private constructor(qemu: QemuArtefact, lineOptions: LineOptions, home: StockVm) {
    this.#qemu = qemu;
    this.#lineOptions = lineOptions;
    this.#home = home;
  }

  static async open(qemu: QemuArtefact, line: LineOptions): Promise<StockStand> {
    return new StockStand(qemu, line, await StockVm.start(qemu, null));
  }

  close(): Promise<void> {
    return this.#home.end();
  }

  /** Moves the guest, puts the fault in, does what an operator can do then, and moves it once more. */
  async run(postcopy: boolean, fault: StockFault, faultMs: number, signal: AbortSignal): Promise<FaultSeen> {
    try {
      for (let tries = 1; ; tries++) {
        if (!this.#bytes.has(postcopy)) await this.#plain(postcopy, signal);
        try {
          return await this.#fault(postcopy, fault, faultMs, signal);
        } catch (error) {
          if (!(error instanceof TooLate) || tries === 3) throw error;
          this.#bytes.delete(postcopy);
        }
      }
    } catch (error) {
      this.usable = false;
      throw error;
    }
  }

  async #plain(postcopy: boolean, signal: AbortSignal): Promise<void> {
    await this.#between(postcopy, signal, async (move) => {
      const status = await move.settled(SETTLE_MS * 2);
      if (status !== "completed") throw new Error(`a move without a fault ended as ${status}`);
      if (!postcopy) await move.to.rig.vm.monitor.execute("cont");
      this.#bytes.set(postcopy, move.bytes);
      if ((await verify(move.to, signal)) !== "clean") throw new Error("a move without a fault did harm");
      return move.to;
    });
  }

  async #fault(
    postcopy: boolean,
    fault: StockFault,
    faultMs: number,
    signal: AbortSignal,
  ): Promise<FaultSeen> {
    const seen = await this.#between(postcopy, signal, async (move) => {
      const sinceMs = wallMs();
      const said = await fault(move).catch(async (error) => {
        if (error instanceof TooLate && !postcopy) await move.to.rig.vm.monitor.execute("cont");
        throw error;
      });
      const faultAtMs = performance.now();
      const { status, notes } = await this.#operate(move, postcopy, faultMs);
      if (said) notes.unshift(said);
      const settledMs = Math.round(performance.now() - faultAtMs);
      const runs = await whoRuns(move, signal);
      const bothMs = move.from.runs.together(move.to.runs, sinceMs);
      if (bothMs > 0) notes.push(`both ran for ${(bothMs / 1000).toFixed(1)} s until this was looked at`);
      const owner = runs === "source" ? move.from : runs === "target" ? move.to : null;
      const oracle = owner === null ? "none" : await verify(owner, signal);
      this.usable = owner !== null && oracle === "clean";
      const truthful = status.endsWith("completed")
        ? runs === "target"
        : status !== "failed" || runs === "source";
      const what = {
        runs,
        everBoth: bothMs > 0,
        oracle,
        equal: null,
        status,
        error: null,
        truthful,
        settledMs,
      };
      return { ...what, notes, owner };
    });
    const { notes, owner: _, ...rest } = seen;
    let again: FaultSeen["again"] = "no guest";
    if (this.usable) {
      again = await this.#plain(postcopy, signal).then(
        () => "worked" as const,
        () => "failed" as const,
      );
      this.usable = again === "worked";
    }
    return { ...rest, again, ...(notes.length > 0 && { note: notes.join("; ") }) };
  }

  /** Waits for what the source says, and does what is left to do. */
  async #operate(
    move: StockMove,
    postcopy: boolean,
    faultMs: number,
  ): Promise<{ status: string; notes: string[] }> {
    const notes: string[] = [];
    const beganMs = performance.now();
    const status = await move.settled(SETTLE_MS + faultMs);
    const source = move.from.rig.vm.monitor;
    if (!postcopy) {
      if (status === "completed") {
        await move.to.rig.vm.monitor.execute("cont");
        return { status, notes };
      }
      if (status === null) {
        notes.push("still active long after: cancelled by the operator");
        await source.execute("migrate_cancel", {}, { timeoutMs: 5_000 }).catch(() => undefined);
      }
      await came(() => move.from.runs.running, RUNS_AGAIN_MS, AbortSignal.timeout(RUNS_AGAIN_MS + 1_000));
      return { status: status ?? "hangs", notes };
    }
    if (status === "completed") return { status, notes };
    // The operator comes when the line is there again.
    await sleep(Math.max(0, faultMs - (performance.now() - beganMs)) + 500);
    move.line.mend();
    const said = await move.recover();
    if (said === null) return { status: `${status ?? "hangs"}, by the operator completed`, notes };
    notes.push(`not to be recovered: ${said}`);
    return { status: status ?? "hangs", notes };
  }

  /** Starts a target, begins the move; whom `act` names keeps the guest, the other one is ended. */
  async #between<T extends StockVm | { readonly owner: StockVm | null }>(
    postcopy: boolean,
    signal: AbortSignal,
    act: (move: StockMove) => Promise<T>,
  ): Promise<T> {
    const from = this.#home;
    const to = await StockVm.start(this.#qemu, from);
    let line: Shaper | null = null;
    let owner: StockVm | null = null;
    try {
      const port = await freePorts(1);
      line = await openStockLine(port, this.#lineOptions);
      const expected = this.#bytes.get(postcopy) ?? { all: 0, postcopy: 0 };
      const move = new StockMove({ from, to }, line, expected, signal);
      await move.begin(port, postcopy);
      const result = await act(move).catch((error) => {
        // Came too late: the guest has arrived.
        if (error instanceof TooLate) owner = to;
        throw error;
      });
      owner = result instanceof StockVm ? result : result.owner;
      return result;
    } finally {
      this.#home = owner === to ? to : from;
      await (owner === to ? from : to).end();
      await line?.close();
    }
  }
}

async function whoRuns({ from, to }: StockMove, signal: AbortSignal): Promise<Runs> {
  const before = [from.oracle.beats, to.oracle.beats];
  const beats = (vm: StockVm, i: number): boolean => vm.runs.running && vm.oracle.beats > before[i]!;
  await came(() => beats(from, 0) || beats(to, 1), BEAT_MS, signal);
  await came(() => beats(from, 0) && beats(to, 1), 500, signal);
  if (beats(from, 0) && beats(to, 1)) return "both";
  return beats(from, 0) ? "source" : beats(to, 1) ? "target" : "none";
}

async function verify({ oracle }: StockVm, signal: AbortSignal): Promise<FaultSeen["oracle"]> {
  const goal = oracle.passesOk + 2;
  const said = await came(() => oracle.faults.length > 0 || oracle.passesOk >= goal, VERIFY_MS, signal);
  if (oracle.faults.length > 0) return "corrupt";
  return said ? "clean" : "none";
}
