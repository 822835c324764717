import { peakRssBytes } from "../processes.ts";
import { across, type HostName } from "../types.ts";
import { AgentCpu, type CpuMs, minus } from "./cpu.ts";

const SAMPLE_MS = 100;

interface Both {
  readonly a: CpuMs;
  readonly b: CpuMs;
}

/** What the agents of both hosts and all that they started use, over one move of all guests. */
export class AgentMeters {
  readonly #pids: Readonly<Record<HostName, number>>;
  readonly #cpu: Readonly<Record<HostName, AgentCpu>>;
  #before: Both;
  #latest: Both;
  #timer: NodeJS.Timeout | undefined;

  constructor(pids: Readonly<Record<HostName, number>>) {
    this.#pids = pids;
    this.#cpu = { a: new AgentCpu(pids.a), b: new AgentCpu(pids.b) };
    this.#before = this.#latest = this.#read();
  }

  begin(): void {
    this.#before = this.#latest = this.#read();
    // Often, for the sake of QEMUs that end: see AgentCpu.
    this.#timer = setInterval(() => void this.#read(), SAMPLE_MS);
  }

  /** Until here it counts; of several calls the last. */
  mark(): void {
    this.#latest = this.#read();
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** CPU time between `begin` and the last `mark`, by the roles of that move. */
  spent(source: HostName): { readonly source: CpuMs; readonly target: CpuMs } {
    const of = (host: HostName) => minus(this.#latest[host], this.#before[host]);
    return { source: of(source), target: of(across(source)) };
  }

  /** The agents' own largest resident sets so far. */
  peakRssBytes(source: HostName): { readonly source: number; readonly target: number } {
    const of = (host: HostName) => peakRssBytes(this.#pids[host]) ?? 0;
    return { source: of(source), target: of(across(source)) };
  }

  #read(): Both {
    return { a: this.#cpu.a.read(), b: this.#cpu.b.read() };
  }
}
