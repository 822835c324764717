import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MigrationOrderInput, MigrationStatusBody, VmBody } from "../../src/agent/mod.ts";
import { AgentClient } from "../../src/cli/client.ts";
import type { Report } from "../../src/migration/mod.ts";
import { GODWIT } from "../demo/command.ts";
import { GuestOracle } from "../guest/mod.ts";
import type { QemuArtefact } from "../setup/mod.ts";
import { RunWatch } from "./rigRuns.ts";
import { TRAP_VARIABLE } from "./trapFile.ts";
import { type HostMarks, type Role, victimOf } from "./victims.ts";

export const GUEST_NAME = "guest";
const READY_MS = 60_000;
/** An agent that is stopped or overwhelmed does not answer at all. */
const ANSWER_MS = 10_000;
const WORDS_MAX = 4_000;
const READY = /^agent ready: API at (\S+), other agents at (\S+)$/m;
const TRAP = join(import.meta.dirname, "trap.ts");

export interface AgentHostOptions {
  readonly name: string;
  readonly qemu: QemuArtefact;
  readonly dir: string;
  readonly peerPort: number;
  /** As `--relay-ports`. Default: any. */
  readonly relayPorts?: string;
  /** Default: a folder in `dir`. */
  readonly stateDir?: string;
  /** What the agent is started by: `unshare ...`. */
  readonly wrapper?: readonly string[];
}

/** How a move stands, as its source's agent says. */
export type Status = MigrationStatusBody & { readonly report: Report | null };

/** What a guest's console has shown on a host so far. */
export interface Heard {
  readonly passes: number;
  readonly faults: readonly string[];
  readonly beat: number;
}

/** One host: an agent that is a process of its own, may be killed and started again, and is watched from outside. */
export class AgentHost {
  readonly name: string;
  readonly runs: RunWatch;
  /** What it writes, all of it. */
  readonly logPath: string;
  readonly trapPath: string;
  readonly peer: string;
  readonly #options: AgentHostOptions;
  readonly #watchPath: string;
  #child: ChildProcess | null = null;
  /** The newest line of its log, as far as it has come. */
  #line = "";
  readonly #listeners = new Set<(line: string) => void>();

  private constructor(options: AgentHostOptions) {
    mkdirSync(options.dir, { recursive: true });
    this.name = options.name;
    this.#options = options;
    this.#watchPath = join(options.dir, "watch.qmp");
    this.logPath = join(options.dir, "agent.log");
    this.trapPath = join(options.dir, "trap");
    this.peer = `127.0.0.1:${options.peerPort}`;
    this.runs = new RunWatch(this.#watchPath);
  }

  /** Starts the agent; resolves when it answers. */
  static async start(options: AgentHostOptions): Promise<AgentHost> {
    const host = new AgentHost(options);
    await host.start();
    return host;
  }

  get stateDir(): string {
    return this.#options.stateDir ?? join(this.#options.dir, "s");
  }

  get marks(): HostMarks {
    return { agentPid: this.#child?.pid ?? 0, qemuMark: this.#watchPath };
  }

  get running(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts the agent, also once more after its end, on the same state. */
  async start(): Promise<void> {
    const { name, qemu, peerPort, relayPorts, wrapper = [] } = this.#options;
    const qemuArgs = [...qemu.args, "-qmp", `unix:${this.#watchPath},server=on,wait=off`];
    const args = ["agent", "run", "--host", name, "--peer", `127.0.0.1:${peerPort}`];
    args.push("--state-dir", this.stateDir, "--socket", this.#socket, "--log-level", "debug");
    if (relayPorts !== undefined) args.push("--relay-ports", relayPorts);
    args.push("--qemu", qemu.binary, ...qemuArgs.map((arg) => `--qemu-arg=${arg}`));
    const [program, ...rest] = [...wrapper, GODWIT, ...args];
    const child = spawn(program!, rest, {
      stdio: ["ignore", "ignore", "pipe"],
      detached: true, // a Ctrl-C on the terminal is ours to obey
      env: { ...process.env, NODE_OPTIONS: `--import=${TRAP}`, [TRAP_VARIABLE]: this.trapPath },
    });
    this.#child = child;
    let words = "";
    const ready = Promise.withResolvers<"ready">();
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      appendFileSync(this.logPath, text);
      this.#hear(text);
      words = (words + text).slice(-WORDS_MAX);
      if (READY.test(words)) ready.resolve("ready");
    });
    const ended = once(child, "close").then(() => "ended" as const);
    const late = sleep(READY_MS, "late" as const, { ref: false });
    const how = await Promise.race([ready.promise, ended, late]);
    if (how !== "ready") throw new Error(`the agent of ${name} did not start (${how}): ${words.trim()}`);
  }

  /** Hears each line of the agent's log from now on. @returns takes it back */
  onLine(listener: (line: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #hear(text: string): void {
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop()!;
    for (const line of lines) for (const listener of [...this.#listeners]) listener(line);
  }

  /** Resolves when the agent's process is gone. */
  async gone(): Promise<void> {
    if (this.running) await once(this.#child!, "exit");
  }

  /** Errors: what the agent answered; AGENT_UNREACHABLE, also when it does not answer in time. */
  async call<T>(method: "get" | "post", path: string, body?: object): Promise<T> {
    const client = new AgentClient(this.#socket);
    const answer = method === "get" ? client.get<T>(path) : client.post<T>(path, body);
    answer.catch(() => undefined); // it may come too late
    const late = sleep(ANSWER_MS, null, { ref: false });
    const first = await Promise.race([answer, late]);
    if (first === null) throw new Error(`${this.name}: no answer to ${path}`);
    return first;
  }

  async begin(order: Omit<MigrationOrderInput, "vm">): Promise<string> {
    return (await this.call<{ id: string }>("post", "/v1/migrations", { vm: GUEST_NAME, ...order })).id;
  }

  status(id: string): Promise<Status> {
    return this.call("get", `/v1/migrations/${id}`);
  }

  /** The guest, if this host's agent says that it has it. */
  async guest(): Promise<VmBody | null> {
    const vms = await this.call<VmBody[]>("get", "/v1/vms");
    return vms.find(({ name }) => name === GUEST_NAME) ?? null;
  }

  /** A path of the agent's as we can open it: a wrapper may have given it file systems of its own. */
  seen(path: string): string {
    return this.#options.wrapper === undefined ? path : `/proc/${this.marks.agentPid}/root${path}`;
  }

  victim(role: Role): number | null {
    return victimOf(role, this.marks);
  }

  /** What QEMU has written of the guest's console, whoever lives. Null: there is no such guest here. */
  heard(): Heard | null {
    const path = join(this.seen(this.stateDir), "run", "vms", GUEST_NAME, "serial.log");
    if (!existsSync(path)) return null;
    const oracle = new GuestOracle();
    let beat = 0;
    for (const line of oracle.feed(readFileSync(path, "latin1"), 0))
      if (line.kind === "beat") beat = line.sequence;
    return { passes: oracle.passesOk, faults: oracle.faults, beat };
  }

  /** Ends everything of this host by force. */
  async end(): Promise<void> {
    await this.runs.close();
    for (const role of ["relay", "QEMU", "agent"] as const)
      for (let pid = this.victim(role); pid !== null && strike(pid, "SIGKILL"); pid = this.victim(role)) {
        strike(pid, "SIGCONT");
        if (role === "agent") break;
        await sleep(20);
      }
    await this.gone();
  }

  get #socket(): string {
    return join(this.#options.dir, "api.sock");
  }
}

/** A signal for one that may have ended. @returns whether it was there */
export function strike(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
