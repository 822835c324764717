import type { MigrationOrderInput } from "../../src/agent/mod.ts";
import type { Report } from "../../src/migration/mod.ts";
import type { QemuArtefact, Shaper } from "../mod.ts";
import { rigSpec } from "../rig/mod.ts";
import { freePorts, type LineOptions, openLine, throughLine } from "./proxy.ts";
import { came, GUEST, type Stand, TooLate } from "./rig.ts";
import { FaultHost } from "./rigHost.ts";
import { FaultMove, type MoveBytes } from "./rigMove.ts";
import { wallMs } from "./rigRuns.ts";
import type { FaultSeen, Runs } from "./types.ts";

/** Of each host: its peer API, and for relays more than one that recovers needs. */
const RELAY_PORTS = 4;
/** How long a fault may take to settle, beside its own length. */
const SETTLE_MS = 240_000;
/** Two passes of the oracle take about a second on a quiet machine. */
const VERIFY_MS = 240_000;
const BEAT_MS = 15_000;
const FREE_MS = 40_000;

export type Order = Pick<MigrationOrderInput, "strategy" | "postcopyReconnectForMs" | "forcePostcopy">;

/** What a case does to a move: resolves when the fault has been put in, with what there is to say of it. */
export type Fault = (move: FaultMove) => Promise<string | undefined>;

/** Two agents as two hosts with a line between them, and a guest that goes to and fro. */
export class GodwitStand implements Stand {
  usable = true;
  readonly #line: Shaper;
  /** Where the guest is comes first. */
  #hosts: readonly [FaultHost, FaultHost];
  /** By strategy: bytes of the last move, in all and from the package on. */
  readonly #bytes = new Map<string, MoveBytes>();

  private constructor(line: Shaper, hosts: readonly [FaultHost, FaultHost]) {
    this.#line = line;
    this.#hosts = hosts;
  }

  static async open(qemu: QemuArtefact, line: LineOptions, signal: AbortSignal): Promise<GodwitStand> {
    const size = 1 + RELAY_PORTS;
    const port = await freePorts(2 * size);
    const hosts: FaultHost[] = [];
    let shaper: Shaper | undefined;
    try {
      for (const [i, name] of ["a", "b"].entries()) {
        const peer = port + i * size;
        hosts.push(await FaultHost.start(name, qemu, { peer, relays: `${peer + 1}-${peer + RELAY_PORTS}` }));
      }
      const ports = Array.from({ length: 2 * size }, (_, i) => port + i);
      shaper = await openLine(ports, line);
      const stand = new GodwitStand(shaper, [hosts[0]!, hosts[1]!]);
      const { memoryMib, ...workload } = GUEST;
      await hosts[0]!.call("POST", "/v1/vms", rigSpec({ name: "guest", memoryMib, workload }));
      if ((await stand.#verify(hosts[0]!, signal, 1)) !== "clean") throw new Error("the guest did not start");
      return stand;
    } catch (error) {
      await Promise.all(hosts.map((host) => host.end()));
      await shaper?.close();
      throw error;
    }
  }

  /**
   * Moves the guest, puts the fault in, waits until all has settled, and moves it once more.
   * @param settlesWithinMs  what the fault itself may take
   */
  async run(order: Order, fault: Fault, settlesWithinMs: number, signal: AbortSignal): Promise<FaultSeen> {
    const strategy = order.strategy ?? "precopy";
    try {
      if (!this.#bytes.has(strategy)) await this.#plain(order, signal);
      for (let tries = 1; ; tries++) {
        try {
          return await this.#fault(order, fault, settlesWithinMs, signal);
        } catch (error) {
          if (!(error instanceof TooLate) || tries === 3) throw error;
        }
      }
    } catch (error) {
      this.usable = false;
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#line.mend();
    await Promise.all(this.#hosts.map((host) => host.end()));
    await this.#line.close();
  }

  /** A move without any fault. Throws when it does not succeed. */
  async #plain(order: Order, signal: AbortSignal): Promise<void> {
    const { report, phase } = await this.#move(order, null, 0, signal);
    if (report === null) throw new Error(`a move without a fault stays ${phase}`);
    if (report.status !== "completed" || report.equal !== true)
      throw new Error(`a move without a fault ended as ${report.status}: ${report.error?.message}`);
    const oracle = await this.#verify(this.#hosts[0], signal);
    if (oracle !== "clean") throw new Error(`the oracle after a move without a fault: ${oracle}`);
  }

  async #fault(order: Order, fault: Fault, withinMs: number, signal: AbortSignal): Promise<FaultSeen> {
    const [from, to] = this.#hosts;
    const sinceMs = wallMs();
    const beats = await from.lastBeat();
    let faultAtMs = 0;
    let said: Awaited<ReturnType<Fault>>;
    const { report, phase } = await this.#move(
      order,
      async (move) => {
        said = await fault(move);
        faultAtMs = performance.now();
      },
      withinMs,
      signal,
    );
    const settledMs = Math.round(performance.now() - faultAtMs);
    const notes = said ? [said] : [];
    const runs = await this.#whoRuns(from, to, signal);
    const everBothMs = from.runs.together(to.runs, sinceMs);
    if (everBothMs > 0) notes.push(`both ran for ${everBothMs.toFixed(1)} ms`);
    const owner = runs === "source" ? from : runs === "target" ? to : null;
    let oracle: FaultSeen["oracle"] = "none";
    if (owner !== null) {
      oracle = await this.#verify(owner, signal);
      // One whose memory is wrong may as well start anew: its beats are counted from 1 then, and its oracle finds nothing.
      if ((await owner.lastBeat()) <= beats) {
        oracle = "corrupt";
        notes.push("the guest started anew");
      }
    }
    const both = everBothMs > 0;
    if (report === null) {
      this.usable = false;
      notes.push("it did not settle");
      const none = { equal: null, error: null, truthful: false, again: "failed" as const };
      return { runs, everBoth: both, oracle, status: phase, settledMs, ...none, note: notes.join("; ") };
    }
    const truthful = saysWhatIs(report.status, runs) && sentOnce(report, notes);
    if (report.reconnects > 0) notes.push(`${report.reconnects} reconnects`);
    const seen = {
      ...{ runs, everBoth: both, oracle, equal: report.equal },
      ...{ status: phase, error: report.error?.code ?? null, truthful, settledMs },
    };
    let again: FaultSeen["again"] = "no guest";
    if (owner !== null && oracle === "clean") {
      again = await this.#plain(order, signal).then(
        () => "worked" as const,
        (error) => {
          notes.push(`the next move: ${error instanceof Error ? error.message : error}`);
          return "failed" as const;
        },
      );
    }
    this.usable = again === "worked";
    return { ...seen, again, ...(notes.length > 0 && { note: notes.join("; ") }) };
  }

  /**
   * From the order until nothing changes any more. The host that has the guest then is the first one afterwards.
   * `report` is null when it did not come to an end.
   */
  async #move(
    order: Order,
    fault: Fault | null,
    withinMs: number,
    signal: AbortSignal,
  ): Promise<{ report: Report | null; phase: string }> {
    const [from, to] = this.#hosts;
    const strategy = order.strategy ?? "precopy";
    const expected = this.#bytes.get(strategy) ?? { all: 0, postcopy: 0 };
    const move = new FaultMove(this.#hosts, this.#line, expected, signal);
    move.began((await from.begin({ to: throughLine(to.peer), ...order })).id);
    let late: TooLate | null = null;
    try {
      await fault?.(move);
    } catch (error) {
      if (!(error instanceof TooLate)) throw error;
      late = error;
    }
    const { phase, report } = await this.#settled(from, move.id, withinMs, signal);
    this.#line.mend();
    if (fault === null || late !== null) this.#bytes.set(strategy, move.bytes);
    await this.#arrived(from, to, signal);
    if (late !== null) throw late;
    return { report, phase };
  }

  /** A doubt settles by itself once the hosts hear each other. */
  async #settled(host: FaultHost, id: string, withinMs: number, signal: AbortSignal) {
    const settled = new Set(["completed", "aborted", "refused", "lost"]);
    const done = async () => {
      const { phase, ended } = await host.status(id);
      return ended && settled.has(phase);
    };
    const inTime = await came(done, SETTLE_MS + withinMs, signal);
    const { phase, report } = await host.status(id);
    return { phase, report: inTime ? report : null };
  }

  /** Waits until both hosts are done, and puts the one with the guest first. */
  async #arrived(from: FaultHost, to: FaultHost, signal: AbortSignal): Promise<void> {
    const free = async (host: FaultHost) => (await host.guest())?.busyWith ?? null;
    await came(async () => (await free(from)) === null && (await free(to)) === null, FREE_MS, signal);
    const there = async (host: FaultHost) => (await host.guest())?.status === "running";
    if (!(await there(from)) && (await there(to))) this.#hosts = [to, from];
  }

  /** By what QEMU says and by new heartbeats: a guest that waits for pages that never come does not run. */
  async #whoRuns(from: FaultHost, to: FaultHost, signal: AbortSignal): Promise<Runs> {
    const before = [await from.lastBeat(), await to.lastBeat()];
    const beats = async (host: FaultHost, i: number): Promise<boolean> =>
      host.runs.running && (await host.lastBeat()) !== before[i];
    await came(async () => (await beats(from, 0)) || (await beats(to, 1)), BEAT_MS, signal);
    // The other one, if there is one, has as much time again as a beat takes many times over.
    await came(async () => (await beats(from, 0)) && (await beats(to, 1)), 500, signal);
    const [source, target] = [await beats(from, 0), await beats(to, 1)];
    if (source && target) return "both";
    return source ? "source" : target ? "target" : "none";
  }

  /** What the guest says after passes over all its memory that began after now; "none" when it says nothing. */
  async #verify(host: FaultHost, signal: AbortSignal, passes = 2): Promise<FaultSeen["oracle"]> {
    const oracle = async () => (await host.guest())?.oracle ?? { verified: 0, corrupt: 0 };
    const goal = (await oracle()).verified + passes;
    const said = async () => {
      const { verified, corrupt } = await oracle();
      return corrupt > 0 || verified >= goal;
    };
    if (!(await came(said, VERIFY_MS, signal))) return "none";
    return (await oracle()).corrupt > 0 ? "corrupt" : "clean";
  }
}

function saysWhatIs(status: string, runs: Runs): boolean {
  if (status === "completed") return runs === "target";
  if (status === "aborted" || status === "refused") return runs === "source";
  return status === "lost" && runs === "none";
}

/** Pages that left in post-copy never are more than the target lacked when the guest was switched over. */
function sentOnce({ paging }: Report, notes: string[]): boolean {
  if (paging === null) return true;
  const { answered, pushed, outstanding } = paging;
  if (answered + pushed <= outstanding) return true;
  notes.push(`${answered + pushed} pages sent where ${outstanding} were missing`);
  return false;
}
