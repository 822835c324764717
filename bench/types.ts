/**
 * The seams of the bench. A **stage** is two hosts, a shaped way between them and a place for clients. A **home** keeps
 * the guests of one family (stock QEMU driven over QMP, or Godwit's agents) on a stage and moves them. A **load** is what
 * runs in a guest beside the oracle, with the client that judges it. The **runner** puts them together and keeps the
 * ledger (`Ledger` in src/bench).
 *
 * All times in here (`atMs`) are on one clock for all processes of the machine (clock.ts): `performance.timeOrigin +
 * performance.now()`.
 */

import type { LabHost, QemuArtefact } from "../lab/mod.ts";
import type { Cell, Ledger, TimelinePoint } from "../src/bench/mod.ts";
import type { QemuCommand } from "../src/qemu/mod.ts";

export type HostName = "a" | "b";

/** The other one. */
export function across(host: HostName): HostName {
  return host === "a" ? "b" : "a";
}

/** What a guest has for a network card: a tap on the bridge that joins both hosts and the clients. */
export interface GuestNic {
  readonly ifname: string;
  readonly mac: string;
  /** Of the guest, such as 10.84.0.10; its prefix is 24. */
  readonly address: string;
}

export interface StageHost {
  readonly name: HostName;
  /** Runs commands on this host. */
  readonly place: LabHost;
  /** Where the other host reaches it, past the shaper. */
  readonly address: string;
  /** The same QEMU, started on this host: a wrapper that keeps one process. */
  qemu(artefact: QemuArtefact): QemuCommand;
}

/** The shaped way from one host to the other. All connections through it share one rate in each direction. */
export interface Way {
  /** What the near host dials instead of the far host's address; the port numbers are the same. */
  readonly address: string;
  /** Ports of the far host that can be reached, first to last. Whoever listens there listens on the host's address. */
  readonly ports: {
    readonly control: number;
    readonly relay: readonly number[];
    readonly stock: readonly number[];
  };
  /** Bytes since the stage was opened, forward = away from the near host. */
  wireBytes(): Promise<{ readonly forward: number; readonly backward: number }>;
  /** The kernel's own counters of the near host's interface over the same time; null without namespaces. */
  interfaceBytes(): { readonly forward: number; readonly backward: number } | null;
}

export interface Stage {
  /** False: no rights for namespaces; both hosts are on loopback, and there is no network for guests. */
  readonly apart: boolean;
  readonly hosts: Readonly<Record<HostName, StageHost>>;
  /** From that host to the other one. */
  way(from: HostName): Way;
  /** Where clients run, in the guests' network; null without namespaces. */
  readonly client: LabHost | null;
  /** The card of the guest with this number (0 to 15), the same on both hosts; null without namespaces. */
  nic(guest: number): GuestNic | null;
  close(): Promise<void>;
}

export interface OpenStageOptions {
  readonly link: Cell["link"];
  /** How many guests need a network card. */
  readonly guests: number;
  readonly loopback?: boolean;
}

/** What one family measured of one guest's move. Null: not known to it. */
export interface MoveFacts {
  /** The order, before anything was prepared. */
  readonly orderedAtMs: number;
  /** QEMU's `migrate`; null when it did not get so far. */
  readonly migrateAtMs: number | null;
  /** The source could be thrown away, or the failure was settled. */
  readonly endedAtMs: number;
  readonly downtimeMs: number | null;
  readonly blackoutMs: number | null;
  readonly gapAfterResumeMs: number | null;
  readonly passes: number | null;
  readonly streamBytes: number | null;
  readonly pages: { readonly sent: number; readonly zero: number } | null;
  /** By the move's own source and target, whichever of a and b that was. See `Ledger`. */
  readonly cpuMs: { readonly source: number; readonly target: number };
  readonly guestCpuMs: number | null;
  readonly extraRssBytes: { readonly source: number; readonly target: number };
  readonly equal: boolean | null;
  /** As in the ledger; left out by systems that have none. */
  readonly engine?: Ledger["engine"];
  readonly switchover?: Ledger["switchover"];
  /** Pages that the target QEMU asked for. */
  readonly requests: number | null;
  readonly paging?: Ledger["paging"];
  /** About ten a second; `wireBytes` is 0 here, the runner fills it in. `atMs` is from the order. */
  readonly timeline: readonly TimelinePoint[];
  /** Why the move failed; null when it was completed. */
  readonly error: string | null;
}

export interface HomeGuest {
  readonly index: number;
  /** Every line of the guest's console but heartbeats, whole, wherever the guest runs. Returns what ends it. */
  onLine(listener: (line: string, atMs: number) => void): () => void;
  /** One command line for the workload (lab/guest/README.md). */
  say(command: string): void;
  /** Waits for two verification passes that end from now on. @throws what the oracle found, or that it is silent */
  verified(timeoutMs: number): Promise<void>;
}

/** Guests of one family on a stage. All of them are on the same host, and move at the same time. */
export interface Home {
  readonly family: "stock" | "godwit";
  readonly guests: readonly HomeGuest[];
  /** Where the guests are now. */
  readonly at: HostName;
  /**
   * Moves all guests to the other host. Never throws for a move that fails: then the facts say why, and the guest runs
   * on where it was. A guest that was lost or damaged makes `usable` false.
   * @param timeLimitMs  a move that takes longer is cancelled
   */
  move(system: string, timeLimitMs: number): Promise<readonly MoveFacts[]>;
  /** False: it has to be closed and booted anew. */
  readonly usable: boolean;
  /** The guests take no CPU time until `resume` (SIGSTOP): another home is being measured. */
  pause(): void;
  resume(): void;
  /**
   * Writes each guest's memory into its file, page by page from address 0; the guests stand still meanwhile. Only homes
   * whose QMP is ours have it: the guests of both homes are alike.
   */
  dumpMemory?(files: readonly string[]): Promise<void>;
  /** At any moment. Leaves nothing. */
  close(): Promise<void>;
}

export interface OpenHomeOptions {
  readonly stage: Stage;
  readonly cell: Cell;
  readonly qemu: QemuArtefact;
  readonly load: Load;
  /** Guest number `first + i` on the stage: two homes share a stage and its network. */
  readonly first: number;
  readonly seed: number;
}

/** One system by name: what a user would pick. */
export interface System {
  readonly name: string;
  readonly about: string;
  readonly family: "stock" | "godwit";
  /** Such as B1; the bench takes these names as well. */
  readonly alias?: string;
  /** Why this QEMU cannot do it; null when it can. Asked of QEMU, not guessed from versions. */
  lacks(qemu: QemuArtefact): Promise<string | null>;
}

/** Operations that ended since the last `take`. Both arrays have one entry per operation, in order of their ends. */
export interface Operations {
  readonly endedAtMs: Float64Array;
  readonly latencyMs: Float64Array;
  /** Since the last `take` as well. */
  readonly requestsLost: number | null;
  readonly connectionsLost: number | null;
}

/** What a load needs of the guest it runs in. */
export interface LoadSite {
  readonly guest: HomeGuest;
  /** The guest's address and where the client runs; null for loads without a network. */
  readonly network: { readonly address: string; readonly client: LabHost } | null;
}

export interface LoadClient {
  take(): Promise<Operations>;
  /** No requests until `resume`: the guest is paused. Connections stay. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  stop(): Promise<void>;
}

/** What runs in the guest beside the oracle's writer. */
export interface Load {
  readonly name: string;
  readonly about: string;
  /** What one operation is, such as "GET or SET"; null: the load has no client. */
  readonly unit: string | null;
  /** It needs a network card, and so root. */
  readonly network: boolean;
  /** Initial RAM disks after the lab guest's own, in order; QEMU gets one file made of all. */
  readonly initrd: string;
  /** Raw disks that the guest only reads (`disks` of the VM's spec: format raw, readOnly true), the same on both hosts. */
  readonly disks?: readonly string[];
  /** More for the kernel's command line. */
  append(address: string | null): string;
  /** Starts the client; resolves when the load is warm: what it fills is full. Null: no client. */
  start(site: LoadSite): Promise<LoadClient | null>;
}
