/** The manners in which the guest writes; lab/guest/README.md describes each. */
export const MANNERS = ["words", "random", "text", "zero", "dup", "read", "scan", "idle"] as const;
export type Manner = (typeof MANNERS)[number];

export interface Workload {
  /** Working set, MiB of guest memory. Default 64; 128 MiB guests have room for about 48. */
  readonly setMib?: number;
  /** Page writes per second (page reads in `read` and `scan`). Default 1000. */
  readonly pagesPerSec?: number;
  readonly mode?: Manner;
  /** Seed of contents and order. Default 1. */
  readonly seed?: number;
  /** Time between heartbeats, a multiple of 10; 0 is none. Default 10. */
  readonly heartbeatMs?: number;
  /** So many percent of the set take 90 % of the writes. Default 0: all pages alike. */
  readonly hotPercent?: number;
  /** Test of the oracle itself: after so many seconds one byte changes behind its back. Default 0: never. */
  readonly breakAfterSec?: number;
}

const NAMES = {
  setMib: "ws",
  pagesPerSec: "rate",
  mode: "mode",
  seed: "seed",
  heartbeatMs: "hb",
  hotPercent: "hot",
  breakAfterSec: "break",
} as const satisfies Record<keyof Workload, string>;

/** What a lab guest does not need, and what costs a second or two at boot under TCG. */
const FAST_BOOT = [
  ...["mitigations=off", "nokaslr", "init_on_alloc=0", "random.trust_cpu=on"],
  ...["cryptomgr.notests", "audit=0", "apparmor=0", "no_timer_check"],
];

/**
 * The kernel command line of a lab guest. A panic is printed on the serial console and reboots at once, so with
 * `-no-reboot` QEMU ends.
 */
export function guestCommandLine(workload: Workload = {}): string {
  // loglevel=1, not 0: with 0 the kernel does not even print a panic
  const kernel = ["console=ttyS0", "quiet", "loglevel=1", "panic=-1", "oops=panic", ...FAST_BOOT];
  const given = Object.entries(NAMES).flatMap(([key, name]) => {
    const value = workload[key as keyof Workload];
    return value === undefined ? [] : [`gw.${name}=${value}`];
  });
  return [...kernel, ...given].join(" ");
}
