import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import {
  type Agent,
  type MigrationOrderInput,
  type MigrationStatusBody,
  runAgent,
  type VmBody,
} from "../../src/agent/mod.ts";
import type { Report } from "../../src/migration/mod.ts";
import type { QemuArtefact } from "../setup/mod.ts";
import { RunWatch } from "./rigRuns.ts";

const GUEST_NAME = "guest";

/** One line of an agent's log, as far as cases look at it. */
export interface Told {
  readonly msg: string;
  readonly pid?: number;
  readonly from?: string;
  readonly to?: string;
  /** Of a relay's own words. */
  readonly relay?: { readonly event?: string; readonly barrier?: string };
}

/** One agent as a host, with its QEMU watched from outside. */
export class FaultHost {
  readonly runs: RunWatch;
  /** Pids of its relays, the newest last. */
  readonly relays: number[] = [];
  /** Hears each line of the agent's log at once. */
  onTold: (told: Told) => void = () => {};
  readonly #dir: string;
  #agent: Agent | null = null;

  private constructor(dir: string) {
    this.#dir = dir;
    this.runs = new RunWatch(join(dir, "watch.qmp"));
  }

  /** @param relayPorts  as `--relay-ports` */
  static async start(
    name: string,
    qemu: QemuArtefact,
    ports: { peer: number; relays: string },
  ): Promise<FaultHost> {
    const dir = mkdtempSync(join(tmpdir(), "gw-fault-"));
    const host = new FaultHost(dir);
    const watch = ["-qmp", `unix:${join(dir, "watch.qmp")},server=on,wait=off`];
    const write = (line: string): void => {
      appendFileSync(join(dir, "agent.log"), line);
      const told = JSON.parse(line) as Told;
      if (told.msg === "relay's process" && told.pid !== undefined) host.relays.push(told.pid);
      host.onTold(told);
    };
    host.#agent = await runAgent({
      host: name,
      stateDir: join(dir, "s"),
      peer: `127.0.0.1:${ports.peer}`,
      relayPorts: ports.relays,
      qemu: { binary: qemu.binary, args: [...qemu.args, ...watch] },
      log: pino({ level: "debug" }, { write }),
    });
    return host;
  }

  get peer(): string {
    assert(this.#agent?.peerAddress);
    return this.#agent.peerAddress;
  }

  /** Everything that the agent wrote, for a case that could not be set up. */
  get logPath(): string {
    return join(this.#dir, "agent.log");
  }

  async call<T>(method: string, path: string, body?: object): Promise<T> {
    assert(this.#agent);
    const { status, answer } = await http(this.#agent.socket, method, path, body);
    if (status >= 300) {
      const { error } = answer as { error: { code: string; message: string } };
      throw Object.assign(new Error(`${method} ${path}: ${error.code}: ${error.message}`), error);
    }
    return answer as T;
  }

  begin(order: Omit<MigrationOrderInput, "vm">): Promise<{ id: string }> {
    return this.call("POST", "/v1/migrations", { vm: GUEST_NAME, ...order });
  }

  status(id: string): Promise<MigrationStatusBody & { readonly report: Report | null }> {
    return this.call("GET", `/v1/migrations/${id}`);
  }

  /** The guest, if this host has it. */
  async guest(): Promise<VmBody | null> {
    const vms = await this.call<VmBody[]>("GET", "/v1/vms");
    return vms.find(({ name }) => name === GUEST_NAME) ?? null;
  }

  /** The newest heartbeat that this host has heard from the guest; 0: none. */
  async lastBeat(): Promise<number> {
    return (await this.guest())?.heartbeat?.lastSeq ?? 0;
  }

  /** Ends the guest, the agent, and removes its files; nothing of a fault that is left may hold it up. */
  async end(): Promise<void> {
    try {
      const guest = await this.guest();
      if (guest !== null) await this.call("DELETE", `/v1/vms/${guest.name}`).catch(() => undefined);
      // Busy with a move that never ends: without its QEMU it does.
      const left = await this.guest();
      if (left?.pid) kill(left.pid);
    } finally {
      await this.runs.close();
      await this.#agent?.stop();
      rmSync(this.#dir, { recursive: true, force: true });
    }
  }
}

/** SIGKILL for one that may have ended. @returns whether it was there */
export function kill(pid: number): boolean {
  try {
    return process.kill(pid, "SIGKILL");
  } catch {
    return false;
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
