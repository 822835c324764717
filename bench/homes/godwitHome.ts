import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { rigSpec } from "../../lab/rig/mod.ts";
import type { VmBody } from "../../src/agent/mod.ts";
import { GodwitError, isGodwitError } from "../../src/errors/mod.ts";
import { type ProcessId, processId, signal } from "../../src/qemu/mod.ts";
import { systemNamed } from "../systems/mod.ts";
import { across, type Home, type HostName, type MoveFacts, type OpenHomeOptions } from "../types.ts";
import { AgentHost } from "./agentHost.ts";
import { AgentMeters } from "./agentMeters.ts";
import { GuestConsole } from "./console.ts";
import { NAMED_THREADS } from "./cpu.ts";
import { godwitFacts } from "./godwitFacts.ts";
import { type GodwitMoved, moveByAgents } from "./godwitMove.ts";
import { BenchGuest, guestOf } from "./guest.ts";
import { endProcessesOf } from "./leftOver.ts";
import { LogTail } from "./logTail.ts";

const TAIL_MS = 20;
/** Of a move that failed: until the guest runs at the source, and the target has forgotten it. */
const UNDONE_MS = 10_000;
const POLL_MS = 50;

/** Starts an agent on each host, and through one of them the cell's guests on host a. Errors: as of a stock home, COMMAND_FAILED. */
export async function openGodwitHome(options: OpenHomeOptions): Promise<Home> {
  const home = new GodwitHome(options);
  try {
    await home.boot();
  } catch (error) {
    await home.close();
    throw error;
  }
  return home;
}

class GodwitHome implements Home {
  readonly family = "godwit";
  readonly guests: readonly BenchGuest[];
  readonly #options: OpenHomeOptions;
  readonly #dir = mkdtempSync(join(tmpdir(), "gw-"));
  readonly #agents: Partial<Record<HostName, AgentHost>> = {};
  /** By guest: where it is just now, also while its move is still being looked after. */
  readonly #hosts: HostName[];
  readonly #tails: Record<HostName, LogTail>[] = [];
  readonly #tailing: NodeJS.Timeout;
  #processes: ProcessId[] = [];
  #meters: AgentMeters | null = null;
  #moving: Promise<unknown> | null = null;
  #at: HostName = "a";
  #usable = true;
  #paused = false;
  #closing: Promise<void> | null = null;

  constructor(options: OpenHomeOptions) {
    this.#options = options;
    const { guests } = options.cell;
    this.#hosts = Array.from({ length: guests }, () => "a");
    this.guests = this.#hosts.map(
      (_, index) =>
        new BenchGuest({
          index,
          console: new GuestConsole(),
          host: () => this.#hosts[index]!,
          type: (text) => void this.#type(index, text),
        }),
    );
    this.#tailing = setInterval(() => this.#listen(), TAIL_MS);
  }

  get at(): HostName {
    return this.#at;
  }

  get usable(): boolean {
    return this.#usable && this.#closing === null;
  }

  async boot(): Promise<void> {
    const { stage, qemu } = this.#options;
    const start = async (name: HostName) => {
      const { control, relay } = stage.way(across(name)).ports;
      this.#agents[name] = await AgentHost.start({
        ...{ host: stage.hosts[name], apart: stage.apart, dir: this.#dir, ports: { control, relay } },
        qemu: { binary: qemu.binary, args: [...qemu.args, ...NAMED_THREADS] },
      });
    };
    await allOrFirst([start("a"), start("b")]);
    const [a, b] = [this.#agent("a"), this.#agent("b")];
    this.#meters = new AgentMeters({ a: a.pid, b: b.pid });
    await allOrFirst(this.guests.map((guest) => this.#bootGuest(guest)));
    await this.#look();
  }

  async move(system: string, timeLimitMs: number): Promise<readonly MoveFacts[]> {
    assert(this.usable && !this.#paused, "only a home that is usable and not paused can be asked to move");
    const found = systemNamed(system);
    assert(found.family === "godwit", `${system} is no system of Godwit`);
    const [from, to] = [this.#at, across(this.#at)];
    const way = this.#options.stage.way(from);
    const meters = this.#meters!;
    meters.begin();
    const moving = Promise.all(
      this.guests.map(({ index, name }) =>
        moveByAgents({
          ...{ system: found, vm: name, source: this.#agent(from), timeLimitMs },
          to: `${way.address}:${way.ports.control}`,
          onCompleted: () => {
            this.#hosts[index] = to;
            meters.mark();
          },
        }),
      ),
    );
    this.#moving = moving;
    try {
      const moves = await moving;
      if (moves.some(({ error }) => error !== null)) meters.mark();
      return await this.#settle(moves, from);
    } finally {
      meters.end();
      this.#moving = null;
    }
  }

  pause(): void {
    for (const process of this.#processes) signal(process, "SIGSTOP");
    this.#paused = true;
  }

  resume(): void {
    for (const process of this.#processes) signal(process, "SIGCONT");
    this.#paused = false;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #bootGuest({ index, name, console }: BenchGuest): Promise<void> {
    const spec = await guestOf(this.#options, index);
    const [a, b] = [this.#agent("a"), this.#agent("b")];
    await a.client.post<VmBody>("/v1/vms", rigSpec(spec));
    this.#tails[index] = { a: new LogTail(a.serialLog(name)), b: new LogTail(b.serialLog(name)) };
    const bootMs = spec.bootMs!;
    if ((await Promise.race([console.whenReady, sleep(bootMs, null, { ref: false })])) !== null) return;
    const { status } = await a.vm(name);
    throw new GodwitError("GUEST_SILENT", { vm: name, host: "a", status, afterMs: bootMs });
  }

  /** What became of the guests: where each is, and whether that is one place. */
  async #settle(moves: readonly GodwitMoved[], from: HostName): Promise<readonly MoveFacts[]> {
    const to = across(from);
    const sound = await Promise.all(
      moves.map(({ error }, index) => error === null || this.#undone(this.guests[index]!.name, from)),
    );
    for (const index of moves.keys()) this.#follow(index, from);
    const moved = moves.filter(({ error }) => error === null).length;
    if (moved > 0) this.#at = to;
    this.#usable = sound.every(Boolean) && (moved === 0 || moved === moves.length);
    await this.#look();
    return Promise.all(
      moves.map((move, index) =>
        godwitFacts(move, {
          console: this.guests[index]!.console,
          cpu: this.#meters!.spent(from),
          agentRssBytes: this.#meters!.peakRssBytes(from),
          guests: moves.length,
        }),
      ),
    );
  }

  /** Of what was left behind only the end has to be read; a QEMU that comes there again writes a new file. */
  #follow(index: number, from: HostName): void {
    this.#listen();
    const { name } = this.guests[index]!;
    const gone = this.#hosts[index] === from ? across(from) : from;
    this.#tails[index]![gone].close();
    this.#tails[index]![gone] = new LogTail(this.#agent(gone).serialLog(name));
  }

  /** Whether the guest of a move that failed runs at the source, and only there. */
  async #undone(vm: string, from: HostName): Promise<boolean> {
    const untilMs = performance.now() + UNDONE_MS;
    while (performance.now() < untilMs) {
      try {
        const here = (await this.#agent(from).vms()).find(({ name }) => name === vm);
        const there = (await this.#agent(across(from)).vms()).find(({ name }) => name === vm);
        if (here?.status === "running" && here.busyWith === null && there === undefined) return true;
      } catch (error) {
        if (!isGodwitError(error)) throw error; // an agent that is gone: nobody can move this guest any more
        return false;
      }
      await sleep(POLL_MS);
    }
    return false;
  }

  /** Which QEMUs are to be held in `pause`. */
  async #look(): Promise<void> {
    if (!this.#usable) return;
    const vms = await this.#agent(this.#at).vms();
    this.#processes = vms.flatMap(({ pid }) => (pid === null ? [] : (processId(pid) ?? [])));
  }

  /** While it moves: the host that is left first, for its last words come before the first ones from the other. */
  #listen(): void {
    const [first, second] = [this.#at, across(this.#at)];
    for (const [index, tails] of this.#tails.entries()) {
      if (tails === undefined) continue; // not started yet
      const text =
        this.#moving === null
          ? tails[this.#hosts[index]!].read()
          : tails[first].read() + tails[second].read();
      if (text !== "") this.guests[index]!.console.feed(text);
    }
  }

  async #type(index: number, text: string): Promise<void> {
    const { name } = this.guests[index]!;
    try {
      await this.#agent(this.#hosts[index]!).client.post(`/v1/vms/${name}/console`, { text });
    } catch (error) {
      if (!isGodwitError(error)) throw error;
      this.#usable = false; // it did not hear what it was told: it is not the guest that was asked for
    }
  }

  #agent(host: HostName): AgentHost {
    const agent = this.#agents[host];
    assert(agent !== undefined, "both agents run");
    return agent;
  }

  async #close(): Promise<void> {
    this.resume();
    clearInterval(this.#tailing);
    this.#meters?.end();
    // Agents let their VMs live on, and a move goes on while it can: without their QEMUs neither does.
    await endProcessesOf(this.#dir);
    await Promise.all(Object.values(this.#agents).map((agent) => agent.stop()));
    await this.#moving?.catch(() => undefined); // whoever waits for the move gets it
    await endProcessesOf(this.#dir);
    for (const { a, b } of this.#tails.filter((tails) => tails !== undefined)) {
      a.close();
      b.close();
    }
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** All have ended when it throws: what they started is known then. */
async function allOrFirst(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises))
    if (result.status === "rejected") throw result.reason;
}
