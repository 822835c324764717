import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MigrationOrderInput } from "../../src/agent/mod.ts";
import { isGodwitError } from "../../src/errors/mod.ts";
import { rigSpec } from "../rig/mod.ts";
import type { QemuArtefact } from "../setup/mod.ts";
import { AgentHost, type AgentHostOptions, GUEST_NAME, type Status } from "./agentHost.ts";
import { freePorts } from "./proxy.ts";
import { GUEST, type Stand, TooLate, waitFor } from "./rig.ts";
import { wallMs } from "./rigRuns.ts";
import {
  beats,
  isTruthful,
  moveAgain,
  oracleOf,
  type Pair,
  recoverHere,
  runsOf,
  type Said,
  saidOf,
} from "./settled.ts";
import type { FaultSeen } from "./types.ts";

/** Slow enough that each phase is there to be struck. */
const BYTES_PER_SEC = 16_000_000;
/** Of each host: its peer API, and more than one relay for recoveries. */
const PORTS = 5;
const BOOT_MS = 120_000;
const MOMENT_MS = 120_000;
const FREE_MS = 60_000;

export interface KillMove extends Pair {
  readonly id: string;
  readonly signal: AbortSignal;
  /** Whether its source's agent has told its end. */
  ended(): Promise<boolean>;
  /** Waits for a state of the move, asked for every few milliseconds. Throws TooLate when it ends before. */
  until(when: (status: Status) => boolean): Promise<void>;
}

/** What a case does to a move: puts its fault in and undoes what it has to, then says when the fault was. */
export type Strike = (move: KillMove) => Promise<{ readonly atMs: number }>;

export interface StrikeOptions {
  /** Of the case, for the logs. */
  readonly name: string;
  readonly order: Omit<MigrationOrderInput, "vm" | "to">;
  /** Set up before the order is given: traps. */
  readonly before?: (pair: Pair) => void | Promise<void>;
  readonly strike: Strike;
  /** Undone once the move has told its end, before anything is looked at. */
  readonly undo?: (pair: Pair) => void | Promise<void>;
  /** How long until all has settled. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
  /** How the source's host reaches the target's agent. Default: at the address that this tells. */
  readonly reach?: (address: string) => string;
}

/** Two hosts with agents of their own processes and one guest that goes to and fro between them. */
export class KillStand implements Stand {
  readonly #dir: string;
  readonly #hosts: readonly [AgentHost, AgentHost];
  #usable = true;

  private constructor(dir: string, hosts: readonly [AgentHost, AgentHost]) {
    this.#dir = dir;
    this.#hosts = hosts;
  }

  /** Starts agents and guest; resolves when the guest has been through its memory once. */
  static async open(
    qemu: QemuArtefact,
    signal: AbortSignal,
    more?: (dir: string) => Partial<AgentHostOptions>,
  ): Promise<KillStand> {
    const dir = mkdtempSync(join(tmpdir(), "gw-k-"));
    const port = await freePorts(2 * PORTS);
    const host = (name: string, peerPort: number) =>
      AgentHost.start({
        ...{ name, qemu, peerPort, dir: join(dir, name) },
        relayPorts: `${peerPort + 1}-${peerPort + PORTS - 1}`,
        ...more?.(join(dir, name)),
      });
    const hosts = [await host("a", port), await host("b", port + PORTS)] as const;
    const stand = new KillStand(dir, hosts);
    try {
      const [a] = hosts;
      await a.call(
        "post",
        "/v1/vms",
        rigSpec({ name: GUEST_NAME, memoryMib: GUEST.memoryMib, workload: GUEST }),
      );
      await waitFor(() => (a.heard()?.passes ?? 0) > 0, "the guest's first pass", BOOT_MS, signal);
    } catch (error) {
      await stand.close();
      throw error;
    }
    return stand;
  }

  /** False once its guest is lost, or a case ended in a way that the next one must not begin with. */
  get usable(): boolean {
    return this.#usable;
  }

  /** One case: moves the guest, strikes, waits, looks, and moves it once more. */
  async run(options: StrikeOptions): Promise<FaultSeen> {
    this.#usable = false; // until it has come through
    const { signal } = options;
    const pair = this.#pair();
    const beat = pair.source.heard()?.beat ?? 0;
    const sinceMs = wallMs();
    try {
      await options.before?.(pair);
      const { said, settledMs, note } = await this.#move(pair, options).finally(() => options.undo?.(pair));
      const seen = await this.#look(pair, said, { beat, sinceMs, signal });
      this.#usable = seen.again === "worked";
      const notes = [note, said.why, seen.note].filter((one) => typeof one === "string");
      return { ...seen, settledMs, ...(notes.length > 0 && { note: notes.join("; ") }) };
    } catch (error) {
      // The fault did nothing: the guest is as it was.
      if (error instanceof TooLate) this.#usable = await this.#isFree(signal);
      throw error;
    } finally {
      this.#keepLogs(options.name);
    }
  }

  /** Orders the move, has it struck, and waits for what is said of its end. */
  async #move(
    pair: Pair,
    { order, reach, strike, limitMs, signal }: StrikeOptions,
  ): Promise<{ said: Said; settledMs: number; note: string | null }> {
    const { source, target } = pair;
    const to = reach?.(target.peer) ?? target.peer;
    const beganMs = performance.now();
    let id: string;
    try {
      id = await source.begin({ bandwidthBytesPerSec: BYTES_PER_SEC, ...order, to });
    } catch (error) {
      // Refused by what was put in before: that is an end, too.
      const code = isGodwitError(error) ? error.code : (error as Error).message;
      const said: Said = { status: "refused", error: code, equal: null, ended: true };
      return { said, settledMs: performance.now() - beganMs, note: null };
    }
    const ended = () =>
      source.status(id).then(
        (status) => status.ended,
        () => false,
      );
    const until = (when: (status: Status) => boolean) =>
      waitFor(
        async () => {
          const status = await source.status(id);
          if (status.ended && !when(status)) throw new TooLate("the move ended before its moment came");
          return when(status);
        },
        "the moment of the fault",
        MOMENT_MS,
        signal,
        5,
      );
    const { atMs } = await strike({ ...pair, id, signal, ended, until });
    const said = await saidOf(pair, id, limitMs, signal);
    const settledMs = performance.now() - atMs;
    const after = said.status === "inDoubt" ? await recoverHere(pair, id, signal) : null;
    if (after === null) return { said, settledMs, note: null };
    return { said: after, settledMs, note: "in doubt, settled by `recover --resume-here`" };
  }

  /** Ports at which hosts are reached by each other. */
  get ports(): number[] {
    const first = this.#hosts.map(({ peer }) => Number(peer.split(":")[1]));
    return first.flatMap((port) => Array.from({ length: PORTS }, (_, i) => port + i));
  }

  async close(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.end()));
    rmSync(this.#dir, { recursive: true, force: true });
  }

  async #look(
    pair: Pair,
    said: Said,
    { beat, sinceMs, signal }: { beat: number; sinceMs: number; signal: AbortSignal },
  ): Promise<Omit<FaultSeen, "settledMs">> {
    const { source, target } = pair;
    let runs = await runsOf(pair, signal);
    // To QEMU a guest runs that waits for a page, also for one that will never come.
    const waits = said.status === "lost" && runs === "target" && !(await beats(target, signal));
    if (waits) runs = "none";
    const truthful = await isTruthful(pair, said, runs);
    const everBoth = (): boolean => source.runs.together(target.runs, sinceMs) > 0;
    const { status, error, equal } = said;
    const words = { status, error, equal, truthful, runs };
    if (runs === "none" || runs === "both") {
      const left = runs === "both" || said.status !== "lost";
      return { ...words, oracle: "none", again: left ? "failed" : "no guest", everBoth: everBoth() };
    }
    const [here, there] = runs === "source" ? [source, target] : [target, source];
    const oracle = await oracleOf(here, beat, signal);
    const { worked, note } = await moveAgain(here, there, signal);
    return {
      ...{ ...words, oracle, again: worked ? "worked" : "failed" },
      everBoth: everBoth(),
      ...(note !== null && { note }),
    };
  }

  /** Who has the guest now is the source. */
  #pair(): Pair {
    const [a, b] = this.#hosts;
    return a.runs.running ? { source: a, target: b } : { source: b, target: a };
  }

  /** Waits until the guest runs somewhere and no move has it. */
  async #isFree(signal: AbortSignal): Promise<boolean> {
    const endMs = performance.now() + FREE_MS;
    while (performance.now() < endMs && !signal.aborted) {
      const guests = await Promise.all(this.#hosts.map((host) => host.guest().catch(() => null)));
      const one = guests.filter((guest) => guest !== null);
      if (one.length === 1 && one[0]!.status === "running" && one[0]!.busyWith === null) return true;
      await sleep(100);
    }
    return false;
  }

  /** For whoever looks for the cause: GODWIT_FAULTS_LOGS names a folder for the agents' logs of each case. */
  #keepLogs(name: string): void {
    const folder = process.env["GODWIT_FAULTS_LOGS"];
    if (folder === undefined) return;
    mkdirSync(folder, { recursive: true });
    for (const host of this.#hosts)
      copyFileSync(host.logPath, join(folder, `${name.replaceAll(/[^\w.]+/g, "-")}.${host.name}.log`));
  }
}
