/** Calls between agents: they take a trip each way, get lost with the road, and may be answered to nobody. */
import { GodwitError, isGodwitError, type WireError } from "../../src/errors/mod.ts";
import type { CallLimits, PeerCalls } from "../engine/active.ts";
import type { Network } from "../engine/network.ts";
import type { Random } from "../engine/random.ts";
import type { SimProcess } from "../engine/simulation.ts";
import type { SimAgent } from "./agent.ts";

/** Lost on purpose, until then. */
export interface Losses {
  requestsUntilMs: number;
  answersUntilMs: number;
}

export class Peers implements PeerCalls {
  readonly losses: Losses = { requestsUntilMs: 0, answersUntilMs: 0 };
  readonly #network: Network;
  readonly #random: Random;
  readonly #agents: (address: string) => SimAgent | undefined;

  constructor(network: Network, agents: (address: string) => SimAgent | undefined) {
    this.#network = network;
    this.#random = network.simulation.random("peers");
    this.#agents = agents;
  }

  call(address: string, method: string, args: readonly unknown[], limits: CallLimits): Promise<unknown> {
    const { simulation } = this.#network;
    const caller = simulation.current;
    const { timeoutMs, signal } = limits;
    const given = JSON.parse(JSON.stringify(args)) as unknown[];
    simulation.trace(`asks ${method}`);
    return new Promise((resolve, reject) => {
      const fail = (reason: string): void => reject(new GodwitError("PEER_UNREACHABLE", { address, reason }));
      simulation.schedule(timeoutMs, () => fail("no answer in time"));
      signal?.addEventListener("abort", () => fail("given up"));
      const agent = this.#agents(address);
      // Who is not there now may be there when it arrives; nobody at the port refuses at once.
      const there = agent?.process.host;
      if (there === undefined) return void simulation.schedule(0.5, () => fail("refused"), caller);
      if (simulation.nowMs < this.losses.requestsUntilMs) return;
      const tripMs = this.#tripMs(caller.host, there);
      if (tripMs > timeoutMs) return;
      simulation.schedule(
        tripMs,
        () => {
          const now = this.#agents(address);
          if (now === undefined) return void simulation.schedule(0.5, () => fail("refused"), caller);
          simulation.schedule(
            0,
            () => this.#serve(now, method, given, caller, { resolve, reject }),
            now.process,
          );
        },
        OUT,
      );
    });
  }

  #tripMs(from: string, to: string): number {
    return this.#network.arrivalMs(from, to) - this.#network.simulation.nowMs;
  }

  #serve(
    agent: SimAgent,
    method: string,
    args: readonly unknown[],
    caller: SimProcess,
    answer: { resolve(value: unknown): void; reject(error: Error): void },
  ): void {
    const { simulation } = this.#network;
    const back = (act: () => void): void => {
      if (!agent.process.alive || simulation.nowMs < this.losses.answersUntilMs) return;
      simulation.schedule(this.#tripMs(agent.process.host, caller.host), act, caller);
    };
    serve(agent, method, args).then(
      (value) => {
        const copy = JSON.parse(JSON.stringify(value)) as unknown;
        back(() => answer.resolve(copy));
      },
      (error: unknown) => {
        if (!isGodwitError(error)) return simulation.caught(error);
        const wire = JSON.parse(JSON.stringify(error.toJSON())) as WireError;
        back(() => answer.reject(GodwitError.fromWire(wire)));
      },
    );
    void this.#random;
  }
}

/** src/agent/migrate/peerRoutes.ts says the same in HTTP. */
async function serve(agent: SimAgent, method: string, args: readonly unknown[]): Promise<unknown> {
  const { arrivals, context } = agent;
  const [first, second] = args as [never, never];
  switch (method) {
    case "prepare":
      return arrivals.prepare(first, null);
    case "commit":
      return arrivals.commit(first);
    case "discard":
      return arrivals.discard(first, second);
    case "word":
      return arrivals.word(first);
    case "recover":
      return arrivals.recover(first, second);
    case "facts":
      return arrivals.facts(first);
    default:
      return context.clock.wallMs();
  }
}

import { OUTSIDE as OUT } from "../engine/simulation.ts";
