/** The simulation that runs now. What stands in for Node's modules has nobody to be handed it by. */
import type { Network } from "./network.ts";
import type { Simulation } from "./simulation.ts";

/** What stand-ins reach. */
export interface Around {
  readonly simulation: Simulation;
  readonly network: Network;
  /** Calls from one agent to another. */
  readonly peers: PeerCalls;
  /** Memory of a QEMU by its process id. */
  readonly memories: Memories;
  readonly processes: Processes;
}

export interface PeerCalls {
  call(address: string, method: string, args: readonly unknown[], limits: CallLimits): Promise<unknown>;
}

export interface CallLimits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** Processes by their ids, as the system knows them. */
export interface Processes {
  isAlive(pid: number): boolean;
  /** SIGTERM or SIGKILL. */
  signal(pid: number, name: string): void;
}

export interface Memories {
  /** Copies a range of a block; false: there is no such process. */
  read(pid: number, block: string, offset: number, into: Uint8Array): boolean;
}

let around: Around | undefined;

/** Makes a world the one that code under test runs in; undefined: none. */
export function enter(next: Around | undefined): void {
  around = next;
}

/** undefined: no world runs, the real clock goes. */
export function present(): Around | undefined {
  return around;
}

/** @throws Error when no world runs */
export function here(): Around {
  if (around === undefined) throw new Error("no simulated world runs");
  return around;
}
