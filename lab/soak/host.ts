import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AgentHost } from "../../bench/homes/agentHost.ts";
import type { Ports } from "../../bench/stage/ports.ts";
import type { VmBody } from "../../src/agent/mod.ts";
import type { AgentClient } from "../../src/cli/client.ts";
import type { QemuArtefact } from "../setup/mod.ts";
import type { MemoryInUse } from "./meter.ts";
import type { HostName, Restart } from "./plan.ts";

const ADDRESS = "127.0.0.1";
const METER_MS_MAX = 30_000;
const POLL_MS = 50;

export interface SoakHostOptions {
  readonly name: HostName;
  readonly ports: Ports;
  readonly qemu: QemuArtefact;
  readonly dir: string;
}

/** What an agent holds once its garbage is collected. */
export interface Held extends MemoryInUse {
  /** Open descriptors. */
  readonly descriptors: number;
}

/** One host of the soak: its agent as a process of its own on loopback, which can be ended and started again. */
export class SoakHost {
  readonly name: HostName;
  readonly #options: SoakHostOptions;
  #agent: AgentHost;

  private constructor(options: SoakHostOptions, agent: AgentHost) {
    this.name = options.name;
    this.#options = options;
    this.#agent = agent;
  }

  /** Errors: COMMAND_FAILED with what the agent said. */
  static async start(options: SoakHostOptions): Promise<SoakHost> {
    return new SoakHost(options, await startAgent(options));
  }

  get client(): AgentClient {
    return this.#agent.client;
  }

  get pid(): number {
    return this.#agent.pid;
  }

  /** What the log of the agent that runs now warned of, the end of it. */
  get warnings(): string {
    return this.#agent.warnings;
  }

  /** The VM if this host has it, whatever its state. */
  async find(vm: string): Promise<VmBody | null> {
    return (await this.#agent.vms()).find(({ name }) => name === vm) ?? null;
  }

  /** Ends the agent, orderly or by force, and starts another on the same state. Its VMs go on. Errors: COMMAND_FAILED. */
  async restart(how: Restart): Promise<void> {
    if (how === "SIGKILL") process.kill(this.pid, "SIGKILL");
    await this.#agent.stop();
    while (this.#agent.running) await sleep(POLL_MS);
    this.#agent = await startAgent(this.#options);
  }

  stop(): Promise<void> {
    return this.#agent.stop();
  }

  /** Of the relays that this agent runs now the one that was started last, by its pid; null: it runs none. */
  newestRelay(): number | null {
    const relays = readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => ({ pid: Number(pid), ...parentAndStart(pid) }))
      .filter(
        ({ pid, parent }) =>
          parent === this.pid && procFile(String(pid), "cmdline").includes("/relay/child.ts"),
      );
    return relays.toSorted((one, other) => one.startTicks - other.startTicks).at(-1)?.pid ?? null;
  }

  /** @throws Error when the agent does not answer to its signal */
  async held(): Promise<Held> {
    const path = join(this.#options.dir, `meter-${this.pid}`);
    rmSync(path, { force: true });
    process.kill(this.pid, "SIGUSR2");
    const untilMs = performance.now() + METER_MS_MAX;
    for (;;) {
      const text = readIfThere(path);
      if (text !== "") {
        const descriptors = readdirSync(`/proc/${this.pid}/fd`).length;
        return { ...(JSON.parse(text) as MemoryInUse), descriptors };
      }
      if (performance.now() > untilMs) throw new Error(`agent ${this.name} did not tell its memory`);
      await sleep(POLL_MS);
    }
  }
}

function startAgent({ name, ports, qemu, dir }: SoakHostOptions): Promise<AgentHost> {
  const argv = (command: readonly string[]) => [...command];
  const host = { name, address: ADDRESS, place: { name, address: ADDRESS, argv }, qemu: () => qemu };
  const { control, relay } = ports;
  return AgentHost.start({ host, apart: false, dir, qemu, ports: { control, relay } });
}

function parentAndStart(pid: string): { readonly parent: number; readonly startTicks: number } {
  const stat = procFile(pid, "stat");
  // The name in parentheses may hold anything: fields are counted from behind it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { parent: Number(fields[1]), startTicks: Number(fields[19]) };
}

/** Empty for one that has ended meanwhile. */
function procFile(pid: string, file: string): string {
  return readIfThere(`/proc/${pid}/${file}`);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return "";
    throw error;
  }
}
