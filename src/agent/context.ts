/**
 * What the agent's halves share. The VM half (this folder) implements it; the migration half (`migrate/`)
 * is built on it and never reaches around it.
 */
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import type { Monitor, QemuCommand, ResolvedSpec, VmSpec } from "../qemu/mod.ts";
import type { OnRefused, Tls } from "../trust/mod.ts";
import type { RelayPorts } from "./migrate/relayPorts.ts";
import type { SpareRelay } from "./migrate/spareRelay.ts";

export interface Clock {
  /** Wall clock, ms since the epoch; comparable with QEMU's event timestamps on this host. */
  wallMs(): number;
  /** Monotonic, ms with fractions, of no fixed origin. */
  monoMs(): number;
}

/** One heartbeat line of the guest, "H <seq> <ms>". */
export interface Beat {
  readonly seq: number;
  /** The guest's own clock. */
  readonly guestMs: number;
  readonly wallMs: number;
  readonly monoMs: number;
}

/** Heartbeats seen since a window was opened; not limited by how many single beats are kept. */
export interface BeatFigures {
  readonly beats: number;
  readonly first: Beat | null;
  readonly last: Beat | null;
  /** Longest time between two consecutive beats, or between the opening and the first; null before the first. */
  readonly longestGapMs: number | null;
}

export interface BeatWindow {
  read(): BeatFigures;
  stop(): void;
}

/** What the guest's own memory oracle said so far on this host. */
export interface OracleFigures {
  /** "V <n> OK" lines and the last n. */
  readonly verified: number;
  readonly lastVerified: number | null;
  /** "CORRUPT" lines and the last of them. */
  readonly corrupt: number;
  readonly lastCorrupt: string | null;
}

/** Watches a VM's serial console. */
export interface SerialWatch {
  readonly oracle: OracleFigures;
  /** Beats seen so far on this host. */
  readonly beats: number;
  readonly lastBeat: Beat | null;
  /** Beats kept (a bounded ring of the newest) since this monotonic time, oldest first. */
  beatsSince(monoMs: number): Beat[];
  openWindow(): BeatWindow;
  /** Types this text on the guest's console. */
  send(text: string): void;
}

/** One QEMU of this host. */
export interface Vm {
  readonly name: string;
  readonly spec: ResolvedSpec;
  readonly monitor: Monitor;
  /** null where the VM has no serial console that we can read. */
  readonly serial: SerialWatch | null;
  /** The VM's own folder, mode 0700: for further sockets of this VM. */
  readonly dir: string;
  /** null where an adopted QEMU's process is not known. */
  readonly pid: number | null;
  /** As QEMU says it: "7.2.22". */
  readonly qemuVersion: string;
  /** Waits for a migration (`-incoming defer`); not one of the host's VMs until `confirm`. */
  readonly incoming: boolean;
}

export interface VmRegistry {
  /** Errors: VM_UNKNOWN. */
  get(name: string): Vm;
  find(name: string): Vm | null;
  list(): readonly Vm[];
  /** The folder that a VM of this name has or will have. */
  dirOf(name: string): string;
  /** Errors: VM_EXISTS, SPEC_INVALID, QEMU_MISSING, QEMU_START_FAILED, MACHINE_UNKNOWN, KVM_UNUSABLE. */
  start(spec: VmSpec): Promise<Vm>;
  /**
   * Starts a QEMU with exactly this machine, `-S -incoming defer`. Errors: those of `start`.
   * It ends with `confirm` (the guest now lives here) or `discard`.
   */
  launchIncoming(spec: ResolvedSpec): Promise<Vm>;
  /** An incoming VM becomes one of this host's VMs; durable before it returns. */
  confirm(vm: Vm): Promise<void>;
  /** Ends the QEMU (quit, then SIGKILL) and forgets the VM with its folder. Safe to call when QEMU is gone already. */
  discard(vm: Vm): Promise<void>;
  /**
   * A VM of an agent before this one, perhaps one that did not answer yet when this agent started; null: its QEMU has ended.
   * Errors: those of its monitor while it lives and does not answer.
   */
  takeOver(name: string): Promise<Vm | null>;
  /**
   * Ends a QEMU that an agent before this one started for a guest to come, by SIGKILL: for one that does not answer, and
   * whose guest has not run. Does nothing where there is none, or it is no longer only a guest to come.
   */
  endIncoming(name: string): Promise<void>;
  /** Takes the VM for one purpose ("migration m-123"); returns the release. Errors: VM_UNKNOWN, VM_BUSY naming who has it. */
  claim(name: string, purpose: string): () => void;
}

/** Durable JSON records by kind and id (sqlite). A put is on the disk when it returns. */
export interface History {
  put(kind: HistoryKind, id: string, vm: string, value: object): void;
  get<T>(kind: HistoryKind, id: string): T | null;
  /** Newest first; `limit` default 100. */
  list<T>(kind: HistoryKind, options?: { readonly vm?: string; readonly limit?: number }): T[];
  remove(kind: HistoryKind, id: string): void;
}

/** report: ended migrations, for users. state: live migrations, so that a restarted agent tells the truth. */
export type HistoryKind = "report" | "state";

/** A line of GET /v1/events. */
export interface AgentEvent {
  readonly seq: number;
  readonly atMs: number;
  readonly type: string;
  readonly data: object;
}

export interface EventBus {
  emit(type: string, data: object): void;
  on(listener: (event: AgentEvent) => void): () => void;
}

/** A guest that is looked after while something else is done with it: it gets back what it lacks. */
export interface Guarded {
  /** Up to this size, bytes. */
  readonly mostBytes: number;
  /** False: it is looked after no longer. */
  readonly while: () => boolean;
}

/** Looks after guests that a balloon has made smaller. */
export interface BalloonGuard {
  guard(vm: Vm, guarded: Guarded): void;
}

export interface AgentContext {
  /** This host's name, in messages and reports. */
  readonly host: string;
  /** Mode 0700, short path: for sockets that belong to no VM. */
  readonly runDir: string;
  readonly log: Logger;
  readonly clock: Clock;
  readonly vms: VmRegistry;
  readonly history: History;
  readonly events: EventBus;
  /** HOST:PORT where other agents reach this one; null: this agent takes no VMs. The host part suits relays too. */
  readonly peerAddress: string | null;
  /** The user accepts plain connections beyond loopback. */
  readonly insecure: boolean;
  /** Certificates for everything that crosses the network; null: plain. */
  readonly tls: Tls | null;
  /** How long after the preparation a ticket opens a session of its relays. */
  readonly ticketMs: number;
  /** Told of each peer that was turned away; the audit log is behind it. */
  readonly onRefused: OnRefused;
  /** Where relays of arriving VMs listen. */
  readonly relayPorts: RelayPorts;
  /** Where the process of a move's relay comes from. */
  readonly relays: SpareRelay;
  readonly balloons: BalloonGuard;
  /** Files of arriving VMs may lie below these folders only; null: anywhere. */
  readonly vmFiles: readonly string[] | null;
  /** This host's QEMU; null: the one in PATH. What another host names is never run. */
  readonly qemu: QemuCommand | null;
}

/** What `migrate/mod.ts` gives back from `registerMigrations(context)`. */
export interface Migrations {
  /** Adds the routes under /v1/migrations to the API on the unix socket. */
  api(fastify: FastifyInstance): void;
  /** Adds the routes for other agents, under /peer/v1. */
  peer(fastify: FastifyInstance): void;
  /** The agent ends: let go of everything; VMs go on. */
  stop(): Promise<void>;
}
