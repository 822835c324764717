/** Two agents as two hosts on loopback, with a real lab guest: what tests of whole migrations need. */
import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { guestCommandLine, type Workload } from "../../lab/guest/mod.ts";
import { artefacts, type QemuArtefact } from "../../lab/setup/mod.ts";
import {
  type Agent,
  type MigrationOrderInput,
  type MigrationStatusBody,
  runAgent,
  type VmBody,
} from "../../src/agent/mod.ts";
import type { Report } from "../../src/migration/mod.ts";

export interface HostOptions {
  readonly name: string;
  readonly qemu: QemuArtefact;
  /** Sees each line of the agent's log at once, when there is no time to ask for it. */
  readonly watch?: (line: string) => void;
  /** The folder of its certificates. */
  readonly tls?: string;
  readonly ticketMs?: number;
  readonly relayPorts?: string;
}

/** One agent, spoken to over its socket as any client does. */
export class Host {
  readonly name: string;
  readonly #dir: string;
  readonly #agent: Agent;
  readonly #log: string;
  readonly #options: HostOptions;

  private constructor(options: HostOptions, dir: string, agent: Agent, log: string) {
    this.name = options.name;
    this.#options = options;
    this.#dir = dir;
    this.#agent = agent;
    this.#log = log;
  }

  static start(options: HostOptions): Promise<Host> {
    return Host.#run(options, mkdtempSync(join(tmpdir(), "gw-")));
  }

  /** Its agent ends, and another one takes over its VMs. This object is of no use any more. */
  async again(changed: Partial<HostOptions>): Promise<Host> {
    await this.#agent.stop();
    return Host.#run({ ...this.#options, ...changed }, this.#dir);
  }

  static async #run(options: HostOptions, dir: string): Promise<Host> {
    const { name, qemu, watch, tls, ticketMs, relayPorts } = options;
    const logPath = join(dir, "agent.log");
    const { binary, args } = qemu;
    const agent = await runAgent({
      host: name,
      stateDir: join(dir, "s"),
      peer: "127.0.0.1:0",
      ...{ qemu: { binary, args }, tls, ticketMs, relayPorts },
      log: pino(
        { level: "debug" },
        {
          write(line) {
            appendFileSync(logPath, line);
            watch?.(line);
          },
        },
      ),
    });
    return new Host(options, dir, agent, logPath);
  }

  get peer(): string {
    assert(this.#agent.peerAddress !== null);
    return this.#agent.peerAddress;
  }

  /** Everything the agent wrote: shown when a test fails. */
  get log(): string {
    return readFileSync(this.#log, "utf8");
  }

  async call<T>(method: string, path: string, body?: object): Promise<T> {
    const { status, answer } = await http(this.#agent.socket, method, path, body);
    if (status >= 300) {
      const { error } = answer as { error: { code: string; message: string } };
      throw Object.assign(new Error(`${method} ${path}: ${error.code}: ${error.message}`), error);
    }
    return answer as T;
  }

  vms(): Promise<VmBody[]> {
    return this.call("GET", "/v1/vms");
  }

  vm(name: string): Promise<VmBody> {
    return this.call("GET", `/v1/vms/${name}`);
  }

  async begin(order: MigrationOrderInput): Promise<string> {
    return (await this.call<{ id: string }>("POST", "/v1/migrations", order)).id;
  }

  status(id: string): Promise<MigrationStatusBody> {
    return this.call("GET", `/v1/migrations/${id}`);
  }

  /** Waits until the move has its report. */
  async report(id: string, timeoutMs = 120_000): Promise<Report> {
    await until(async () => (await this.status(id)).ended, `the end of ${id}`, timeoutMs);
    return (await this.status(id)).report as unknown as Report;
  }

  async migrate(order: MigrationOrderInput): Promise<Report> {
    return this.report(await this.begin(order));
  }

  /** Ends all VMs and the agent, and removes its files. */
  async end(): Promise<void> {
    try {
      await until(async () => (await this.vms()).every((vm) => vm.busyWith === null), "VMs are free", 40_000);
      for (const { name } of await this.vms()) await this.call("DELETE", `/v1/vms/${name}`);
    } finally {
      await this.#agent.stop();
      rmSync(this.#dir, { recursive: true, force: true });
    }
  }
}

export interface GuestOptions extends Workload {
  readonly name: string;
  readonly memoryMib?: number;
  readonly machine?: string;
}

/** A lab guest as a VM spec. */
export function guestSpec({ name, memoryMib = 160, machine = "q35", ...workload }: GuestOptions): object {
  const { kernel, initrd } = artefacts();
  return {
    ...{ name, machine, memory: `${memoryMib}MiB`, accel: "tcg", cpu: "Nehalem-v1" },
    ...{ kernel, initrd, append: guestCommandLine({ setMib: 48, pagesPerSec: 500, ...workload }) },
    heartbeat: true,
  };
}

/** Starts a lab guest and waits until its oracle has been through its memory once. */
export async function startGuest(host: Host, options: GuestOptions): Promise<void> {
  await host.call("POST", "/v1/vms", guestSpec(options));
  await verified(host, options.name, 1);
}

/** Waits for so many more passes of the oracle on this host, and for no difference at all. */
export async function verified(host: Host, name: string, passes: number, timeoutMs = 180_000): Promise<void> {
  const before = (await host.vm(name)).oracle?.verified ?? 0;
  await until(
    async () => {
      const { oracle, status } = await host.vm(name);
      assert(oracle, "the VM has a console");
      assert.equal(oracle.corrupt, 0, `${oracle.lastCorrupt}`);
      assert.equal(status, "running");
      return oracle.verified >= before + passes;
    },
    `${passes} passes of the oracle`,
    timeoutMs,
  );
}

export async function until(
  when: () => Promise<boolean>,
  what: string,
  timeoutMs: number,
  everyMs = 50,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await when())) {
    assert(performance.now() < end, `waited ${timeoutMs} ms for ${what}`);
    await sleep(everyMs);
  }
}

function http(
  socketPath: string,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; answer: unknown }> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = text === undefined ? {} : { "content-type": "application/json" };
    const call = request({ socketPath, method, path, headers }, (response) => {
      let all = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        all += chunk;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, answer: all === "" ? null : JSON.parse(all) }),
      );
      response.on("error", reject);
    });
    call.on("error", reject).end(text);
  });
}
