import { setTimeout as sleep } from "node:timers/promises";
import { freePorts, type Ports } from "../../bench/stage/ports.ts";
import { SHAPED_ADDRESS } from "../../bench/stage/way.ts";
import type { VmBody } from "../../src/agent/mod.ts";
import { postcopyObstacle } from "../../src/qemu/mod.ts";
import type { Sandbox } from "../demo/sandbox.ts";
import { guestVerifies } from "../demo/verdict.ts";
import { rigSpec } from "../rig/mod.ts";
import type { QemuArtefact } from "../setup/mod.ts";
import { SoakHost } from "./host.ts";
import { openLine } from "./line.ts";
import { type MoveRow, soakMove, VM } from "./move.ts";
import type { SoakOptions } from "./options.ts";
import { type HostName, type MovePlan, movePlan } from "./plan.ts";
import type { Sample } from "./result.ts";
import { rowText } from "./text.ts";

const LOOPBACK = "127.0.0.1";
/** An agent makes its spare relay, and has it rehearse, some seconds after the last move. */
const REST_MS = 1_000;

export interface SoakParts {
  readonly options: SoakOptions;
  readonly qemu: QemuArtefact;
  readonly sandbox: Sandbox;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** One guest and two agents, and move after move. Whoever runs it ends what is left of it, by the sandbox. */
export class Soak {
  readonly rows: MoveRow[] = [];
  readonly samples: Sample[] = [];
  /** The plan of the move that is under way, or was when it failed. */
  plan: MovePlan | null = null;
  readonly #parts: SoakParts;
  #hosts: Readonly<Record<HostName, SoakHost>> | null = null;
  #ports: Readonly<Record<HostName, Ports>> | null = null;
  #at: HostName = "a";

  constructor(parts: SoakParts) {
    this.#parts = parts;
  }

  /** Errors: those of `soakMove`, and of starting agents and guest. What was seen until then is in `rows` and `samples`. */
  async run(): Promise<void> {
    const { first, moves, sampleEach } = this.#parts.options;
    const can = { postcopy: (await postcopyObstacle(this.#parts.qemu)) === null };
    if (!can.postcopy)
      this.#parts.say("No post-copy: this system does not let this user's QEMU have userfaultfd.");
    await this.#start();
    await this.#sample(0);
    for (let done = 0; done < moves; ) {
      const row = await this.#move(movePlan(this.#parts.options.seed, first + done, can));
      this.rows.push(row);
      done += 1;
      this.#parts.say(rowText(row, first + moves - 1));
      if (done % sampleEach === 0 || done === moves) await this.#sample(done);
    }
  }

  /** Ends the guest and the agents in an orderly way. */
  async end(): Promise<void> {
    await this.#host(this.#at).client.delete(`/v1/vms/${VM}`);
    await Promise.all([this.#host("a").stop(), this.#host("b").stop()]);
  }

  /** What the agents' logs warned of, for the one who looks into a failure. */
  get warnings(): string {
    if (this.#hosts === null) return "";
    return Object.values(this.#hosts)
      .map(({ name, warnings }) => `agent ${name}:\n${warnings || "nothing"}`)
      .join("\n");
  }

  async #start(): Promise<void> {
    const { options, qemu, sandbox, signal } = this.#parts;
    const { memoryMib, setMib, seed } = options;
    const ports = await freePorts([LOOPBACK, SHAPED_ADDRESS]);
    this.#ports = ports;
    const start = (name: HostName) => SoakHost.start({ name, ports: ports[name], qemu, dir: sandbox.dir });
    const [a, b] = await Promise.all([start("a"), start("b")]);
    this.#hosts = { a, b };
    const workload = { setMib, pagesPerSec: 100, seed };
    await a.client.post<VmBody>("/v1/vms", rigSpec({ name: VM, memoryMib, workload }));
    await guestVerifies(a, VM, 1, signal);
  }

  async #move(plan: MovePlan): Promise<MoveRow> {
    this.plan = plan;
    if (plan.restart !== null) await this.#host("b").restart(plan.restart);
    const [source, target] = [this.#host(this.#at), this.#host(this.#at === "a" ? "b" : "a")];
    const line = await openLine(plan.line, this.#ports![target.name], plan.number);
    try {
      const damage = plan.number === this.#parts.options.breakIn;
      const row = await soakMove({ plan, source, target, line, damage, signal: this.#parts.signal });
      if (row.status === "completed") this.#at = target.name;
      return row;
    } finally {
      await line.close();
    }
  }

  async #sample(afterMoves: number): Promise<void> {
    await sleep(REST_MS, undefined, { signal: this.#parts.signal });
    this.samples.push({
      afterMoves,
      atMs: Math.round(performance.now()),
      agents: { a: await this.#host("a").held(), b: await this.#host("b").held() },
      processes: this.#parts.sandbox.processes().length,
    });
  }

  #host(name: HostName): SoakHost {
    if (this.#hosts === null) throw new Error("the agents run");
    return this.#hosts[name];
  }
}
