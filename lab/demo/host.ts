import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AgentClient } from "../../src/cli/client.ts";
import { GodwitError } from "../../src/errors/mod.ts";
import type { LabHost } from "../host/mod.ts";
import type { QemuArtefact } from "../setup/mod.ts";
import { commandText, GODWIT } from "./command.ts";

const READY_MS = 30_000;
/** It cancels what can be cancelled and waits a moment for the rest. */
const STOP_MS = 15_000;
const WORDS_MAX = 4_000;
const READY = /^agent ready: API at (\S+), other agents at (\S+)$/m;

export interface DemoHostOptions {
  readonly name: string;
  readonly place: LabHost;
  /** False: both hosts share loopback, and the system picks the ports. */
  readonly apart: boolean;
  readonly dir: string;
  readonly qemu: QemuArtefact;
  readonly signal: AbortSignal;
}

/** One host of the demo: its agent as a process of its own, on its side of the network. */
export class DemoHost {
  readonly name: string;
  readonly socket: string;
  /** Where the other host's agent reaches it. */
  readonly peer: string;
  readonly client: AgentClient;
  readonly #child: ChildProcess;
  readonly #words: () => string;

  private constructor(name: string, child: ChildProcess, words: () => string, ready: RegExpExecArray) {
    this.name = name;
    this.socket = ready[1]!;
    this.peer = ready[2]!;
    this.client = new AgentClient(this.socket);
    this.#child = child;
    this.#words = words;
  }

  /** Starts the agent; resolves when it answers. Errors: COMMAND_FAILED with what it said. */
  static async start(options: DemoHostOptions): Promise<DemoHost> {
    const { name, place, apart, qemu, signal } = options;
    const args = ["agent", "run", "--host", name, "--peer", `${place.address}:${apart ? 7700 : 0}`];
    if (apart) args.push("--insecure");
    args.push("--state-dir", join(options.dir, name), "--log-level", "warn", "--qemu", qemu.binary);
    args.push(...qemu.args.map((arg) => `--qemu-arg=${arg}`));
    const [program, ...rest] = place.argv([GODWIT, ...args]);
    const child = spawn(program!, rest, {
      stdio: ["ignore", "ignore", "pipe"],
      detached: true, // a Ctrl-C on the terminal is the demo's to obey: agents leave their VMs running
    });
    let words = "";
    const said = Promise.withResolvers<RegExpExecArray>();
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      words = (words + text).slice(-WORDS_MAX);
      const ready = READY.exec(words);
      if (ready !== null) said.resolve(ready);
    });
    const failed = (reason: string) =>
      new GodwitError("COMMAND_FAILED", { command: commandText(args), exitCode: child.exitCode, reason });
    child.once("error", (error) => said.reject(failed(error.message)));
    child.once("close", () => said.reject(failed(words.trim() || "it ended without a word")));
    const late = sleep(READY_MS, null, { ref: false, signal });
    const ready = await Promise.race([said.promise, late]);
    if (ready === null) throw failed(`it was not ready within ${READY_MS} ms`);
    return new DemoHost(name, child, () => words, ready);
  }

  /** What its log warned of. */
  get warnings(): string {
    return this.#words().replace(READY, "").trim();
  }

  /** Ends the agent in an orderly way. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await Promise.race([gone, sleep(STOP_MS, undefined, { ref: false })]);
  }
}
