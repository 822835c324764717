import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { VmBody } from "../../src/agent/mod.ts";
import { AgentClient } from "../../src/cli/client.ts";
import { GodwitError } from "../../src/errors/mod.ts";
import type { QemuCommand } from "../../src/qemu/mod.ts";
import type { StageHost } from "../types.ts";

const GODWIT = join(import.meta.dirname, "../../bin/godwit");
const READY = /^agent ready: API at (\S+), other agents at \S+$/m;
const READY_MS = 60_000;
/** It cancels what can be cancelled and waits a moment for the rest. */
const STOP_MS = 15_000;
const WORDS_MAX = 4_000;

export interface AgentHostOptions {
  readonly host: StageHost;
  /** Two namespaces: the network between them is ours. */
  readonly apart: boolean;
  readonly dir: string;
  readonly qemu: QemuCommand;
  /** Where the other host's agent and relays reach this host. */
  readonly ports: { readonly control: number; readonly relay: readonly number[] };
}

/** Godwit's agent as a process of a stage's host. What it starts and is given inherits our environment, test hooks too. */
export class AgentHost {
  readonly client: AgentClient;
  readonly stateDir: string;
  readonly #child: ChildProcess;
  readonly #words: () => string;

  private constructor(child: ChildProcess, socket: string, stateDir: string, words: () => string) {
    this.#child = child;
    this.client = new AgentClient(socket);
    this.stateDir = stateDir;
    this.#words = words;
  }

  /** Starts the agent; resolves when it answers. Errors: COMMAND_FAILED with what it said; then it has ended. */
  static async start(options: AgentHostOptions): Promise<AgentHost> {
    const { host, apart, qemu, ports } = options;
    const stateDir = join(options.dir, host.name);
    const args = ["agent", "run", "--host", host.name, "--peer", `${host.address}:${ports.control}`];
    args.push("--relay-ports", `${Math.min(...ports.relay)}-${Math.max(...ports.relay)}`);
    if (apart) args.push("--insecure");
    args.push("--state-dir", stateDir, "--log-level", "warn", "--qemu", qemu.binary);
    args.push(...qemu.args.map((arg) => `--qemu-arg=${arg}`));
    const [program, ...rest] = host.place.argv([GODWIT, ...args]);
    // A session of its own: a Ctrl-C on the terminal is the bench's to obey.
    const child = spawn(program!, rest, { stdio: ["ignore", "ignore", "pipe"], detached: true });
    let words = "";
    const said = Promise.withResolvers<string>();
    said.promise.catch(() => undefined); // it may come after the limit
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      words = (words + text).slice(-WORDS_MAX);
      const ready = READY.exec(words);
      if (ready !== null) said.resolve(ready[1]!);
    });
    const failed = (reason: string) =>
      new GodwitError("COMMAND_FAILED", {
        command: `godwit ${args.join(" ")}`,
        exitCode: child.exitCode,
        reason,
      });
    child.once("error", (error) => said.reject(failed(error.message)));
    child.once("close", () => said.reject(failed(words.trim() || "it ended without a word")));
    const socket = await Promise.race([said.promise, sleep(READY_MS, null, { ref: false })]);
    if (socket !== null) return new AgentHost(child, socket, stateDir, () => words);
    child.kill("SIGKILL");
    throw failed(`it was not ready within ${READY_MS} ms`);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What its log warned of, the end of it. */
  get warnings(): string {
    return this.#words().replace(READY, "").trim();
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  vms(): Promise<VmBody[]> {
    return this.client.get("/v1/vms");
  }

  vm(name: string): Promise<VmBody> {
    return this.client.get(`/v1/vms/${name}`);
  }

  /** Where QEMU writes what this VM prints. */
  serialLog(name: string): string {
    return join(this.stateDir, "run", "vms", name, "serial.log");
  }

  /** Ends the agent in an orderly way, and by force when it takes long. */
  async stop(): Promise<void> {
    if (!this.running) return;
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    if ((await Promise.race([gone, sleep(STOP_MS, null, { ref: false })])) !== null) return;
    this.#child.kill("SIGKILL");
    await gone;
  }
}
