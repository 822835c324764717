/** What an agent and its relay say to each other over the IPC channel. Plain JSON. */
import type { GodwitError, WireError } from "../errors/mod.ts";
import { type CarriedFigures, NOTHING_CARRIED } from "../migration/mod.ts";
import type { EngineName, PolicyName } from "../pages/mod.ts";
import type { PushOrderName } from "../paging/mod.ts";
import type { Barrier, RamSection } from "../stream/mod.ts";
import type { Refused } from "../trust/mod.ts";
import type { MemoryMap } from "./recovery/sourceMemory.ts";

export type RelayOrder =
  /** The target's SHUT(0), withheld so far, may reach the source QEMU: its guest can never resume by itself again. */
  | { readonly order: "releaseShut" }
  /**
   * Post-copy comes: takes few bytes from the source QEMU until `hurryStream`, or for `ms` at most, so that it cannot finish
   * its last pass before it looks at its orders; pages among them wait for post-copy where the relay serves it (ADR 0007).
   * Without effect once the guest's device state is on its way.
   */
  | { readonly order: "slowStream"; readonly ms: number }
  | { readonly order: "hurryStream" }
  /** 0 lifts the cap. */
  | { readonly order: "setBandwidth"; readonly bytesPerSec: number }
  | { readonly order: "abort"; readonly error: WireError };

export type RelayEvent =
  /** source: the unix path is ready for QEMU's migrate; target: the TCP port is open. */
  | { readonly event: "listening"; readonly address: string }
  | { readonly event: "linkUp" }
  /** target: somebody was turned away because of certificate or ticket. */
  | { readonly event: "refused"; readonly refused: Refused }
  | { readonly event: "linkLost"; readonly detail: string }
  | { readonly event: "linkResumed"; readonly detail: string }
  /** The block list has been read. */
  | { readonly event: "ram"; readonly bytes: number; readonly section: RamSection }
  | { readonly event: "barrier"; readonly barrier: Barrier }
  | { readonly event: "verdict"; readonly barrier: Barrier; readonly equal: boolean }
  /** The target QEMU has loaded everything and said SHUT(0); withheld at the source relay when asked to. */
  | { readonly event: "targetLoaded" }
  /** Post-copy: the target QEMU has loaded the package (PONG 3); its guest may run. */
  | { readonly event: "packageLoaded" }
  /** Post-copy was interrupted, and the target QEMU takes pages again: so many are missing there. */
  | { readonly event: "recovered"; readonly pages: number }
  | { readonly event: "progress"; readonly figures: RelayFigures }
  /** After an end in doubt: the source QEMU has closed the connection that was kept open for it. Nothing is held any more. */
  | { readonly event: "letGo" }
  /** Last, but for `letGo`. `error` is null when the carried migration completed. */
  | { readonly event: "ended"; readonly figures: RelayFigures; readonly error: WireError | null };

/** What one relay measured; told every 100 ms (source) or 250 ms (target) while it carries, and at the end. */
export interface RelayFigures extends CarriedFigures {
  readonly postcopy: boolean;
  /** Source: what QEMU has given and the target has not taken yet, as it will cross (encoded); 0 at the target. */
  readonly backlogBytes: number;
  /** Source: what the link delivers, smoothed; null until measured, and at the target. */
  readonly deliveredBytesPerSec: number | null;
}

/** Of a relay that has carried nothing. */
export const NO_FIGURES: RelayFigures = {
  ...NOTHING_CARRIED,
  postcopy: false,
  backlogBytes: 0,
  deliveredBytesPerSec: null,
};

/** How a relay is started; `godwit relay` builds it from flags, an agent sends it as the first IPC message. */
export type RelayOptions = SourceRelayOptions | TargetRelayOptions | RescueRelayOptions;

/** TLS between the two relays. */
export interface RelayTls {
  /** Absolute path of the folder of this host's certificates; read again when it changes. */
  readonly folder: string;
  /** The name that the other relay's certificate must have; without it, any host in the folder's `peers`. */
  readonly peer?: string | undefined;
}

export interface SourceRelayOptions {
  readonly side: "source";
  /** Unix socket path that QEMU migrates to. */
  readonly listen: string;
  readonly socketMode: number;
  readonly socketGroup?: string;
  /** HOST:PORT of the target relay. */
  readonly to: string;
  /** Without it: plain TCP. */
  readonly tls?: RelayTls;
  readonly insecure: boolean;
  /** 0 = no cap. */
  readonly bandwidthBytesPerSec: number;
  readonly engine: EngineName;
  readonly pagePolicy: PolicyName;
  /** The most that the page store may take; the smaller of both sides' holds. 0: none. A multiple of 4096. */
  readonly pageCacheBytes: number;
  /** Post-copy: in which order pages leave that nobody asked for. */
  readonly pushOrder: PushOrderName;
  /** Post-copy: the most that drained pages may take. 0: none are, QEMU serves its guest itself. A multiple of 4096. */
  readonly poolBytes: number;
  /** How long a lost link is tried again, ms. */
  readonly reconnectForMs: number;
  /** The same once the package of a post-copy has passed; 0: without end. */
  readonly postcopyReconnectForMs: number;
  /** Keep the target's SHUT from the source QEMU until `releaseShut`. Only with an agent. */
  readonly withholdShut: boolean;
  /** One-time word that the target relay must know; empty when none was agreed. */
  readonly ticket: string;
}

/** In the place of the source's relay and QEMU, after post-copy was interrupted: docs/adr/0008. */
export interface RescueRelayOptions
  extends Pick<
    SourceRelayOptions,
    "to" | "tls" | "insecure" | "bandwidthBytesPerSec" | "pushOrder" | "postcopyReconnectForMs" | "ticket"
  > {
  readonly side: "rescue";
  /** As the interrupted stream announced it. */
  readonly section: RamSection;
  /** Of the source QEMU, whose guest stands still. */
  readonly memory: MemoryMap;
}

export interface TargetRelayOptions {
  readonly side: "target";
  /** HOST:PORT; port 0 lets the system choose. */
  readonly listen: string;
  /** Unix socket path where the target QEMU listens. */
  readonly forward: string;
  /** As at the source. */
  readonly pageCacheBytes: number;
  /** As at the source. */
  readonly tls?: RelayTls;
  readonly insecure: boolean;
  /** The ticket opens one session, within so many ms from the start; without it any number, at any time. */
  readonly ticketOnceWithinMs?: number | undefined;
  readonly reconnectForMs: number;
  /** As at the source. */
  readonly postcopyReconnectForMs: number;
  readonly ticket: string;
  /** What the interrupted stream announced: post-copy is recovered, the source is a rescue relay. */
  readonly resume?: RamSection;
  /** What the target QEMU may be given at most; each of them has a default (firewall.ts). */
  readonly limits?: StreamLimits;
}

/** Limits of the stream firewall: docs/security-stream.md. */
export interface StreamLimits {
  /** Of the guest's RAM blocks together, bytes. */
  readonly ramBytesMax?: number;
  /** Of device state, bytes. */
  readonly deviceBytesMax?: number;
  /** Lets pass what cannot be checked: other live sections than ram, early device sections. */
  readonly passUnchecked?: boolean;
  /** Device sections in the order of an earlier move of the same machine. */
  readonly knownDevices?: readonly string[];
}

/** A relay that listens. */
export interface RunningRelay {
  /** Where: the unix path, or HOST:PORT with the port that the system chose. */
  readonly address: string;
  order(order: RelayOrder): void;
  /** Stops listening and ends what is being carried with this reason. Resolves when its `ended` has been told. */
  close(reason: GodwitError): Promise<void>;
  /**
   * The same, but a migration whose target may run already is carried to its end: ending it would leave the guest on
   * both hosts or in two halves. `close` cuts that short.
   */
  retire(reason: GodwitError): Promise<void>;
}
