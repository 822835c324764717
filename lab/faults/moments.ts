/** The moments at which a process is struck: a line in an agent's log, which a trap waits for, or a state that is looked for. */
import type { Strategy } from "../../src/migration/mod.ts";
import type { Status } from "./agentHost.ts";

export interface Moment {
  readonly name: string;
  readonly strategy: Strategy;
  /** Whose log, and what is in the line. */
  readonly trap?: { readonly host: "source" | "target"; readonly texts: readonly string[] };
  /** Looked for every few milliseconds, when there is no trap. */
  readonly when?: (status: Status) => boolean;
  /** Post-copy is ordered then: the guest of these moves writes too little for pre-copy not to end by itself. */
  readonly turns?: (status: Status) => boolean;
  /** Nothing of the guest has run at the target, and the commit was not sent. */
  readonly beforeCommit: boolean;
}

/** A change of the phase is told before anything is done in the new one. */
const becomes = (to: string): string => `"to":"${to}"`;
const SOURCE = `"msg":"source's phase"`;
const TARGET = `"msg":"target's phase"`;
/** The source relay has read all that its QEMU sends of the memory. */
const drained = `"relay":{"event":"barrier","barrier":"end"}`;
/** The target relay has all of it and passes on the rest: the state of the devices, which QEMU loads and answers with SHUT. */
const passing = `"side":"target","relay":{"event":"verdict","barrier":"end"`;
const share = ({ remainingBytes, ramBytes }: Status): number =>
  remainingBytes === null || ramBytes === null || ramBytes === 0 ? 1 : remainingBytes / ramBytes;

const source = (...texts: string[]) => ({ host: "source", texts }) as const;
const target = (...texts: string[]) => ({ host: "target", texts }) as const;

/** QEMU and relay are ready at the target; the source agent has not heard it. */
const prepared = { name: "preparing", trap: target(TARGET, becomes("ready")), beforeCommit: true } as const;
const firstPass = {
  name: "first pass",
  when: (status: Status) => status.phase === "precopy" && share(status) < 0.9,
  beforeCommit: true,
} as const;

/** The target's QEMU has taken the order to run. */
export const CONT_GIVEN = "committed, cont given";

const PRECOPY: readonly Moment[] = [
  { strategy: "precopy", ...prepared },
  { strategy: "precopy", ...firstPass },
  {
    strategy: "precopy",
    name: "later pass",
    when: ({ phase, pass }) => phase === "precopy" && (pass ?? 0) >= 2,
    beforeCommit: true,
  },
  {
    strategy: "precopy",
    name: "switchover",
    trap: source(SOURCE, becomes("switchover")),
    beforeCommit: true,
  },
  { strategy: "precopy", name: "between END and SHUT", trap: target(passing), beforeCommit: true },
  {
    strategy: "precopy",
    name: "loaded, SHUT withheld",
    trap: source(SOURCE, becomes("loaded")),
    beforeCommit: false,
  },
  {
    strategy: "precopy",
    name: "committing",
    trap: source(SOURCE, becomes("committing")),
    beforeCommit: false,
  },
  {
    strategy: "precopy",
    name: "commit arrived, not recorded",
    trap: target(TARGET, becomes("committed")),
    beforeCommit: false,
  },
  {
    strategy: "precopy",
    name: CONT_GIVEN,
    trap: target(`"msg":"QEMU took cont"`),
    beforeCommit: false,
  },
];

const POSTCOPY: readonly Moment[] = [
  { strategy: "postcopy", ...prepared },
  { strategy: "postcopy", name: "handover", trap: source(SOURCE, becomes("handover")), beforeCommit: true },
  {
    strategy: "postcopy",
    name: "target may run",
    trap: target(TARGET, becomes("committed")),
    beforeCommit: false,
  },
  {
    strategy: "postcopy",
    name: "early post-copy",
    trap: source(SOURCE, becomes("postcopy")),
    beforeCommit: false,
  },
  { strategy: "postcopy", name: "source drained", trap: source(drained), beforeCommit: false },
  {
    strategy: "postcopy",
    name: "late post-copy",
    when: (status) => status.phase === "postcopy" && share(status) < 0.15,
    beforeCommit: false,
  },
];

const HYBRID: readonly Moment[] = [
  { strategy: "hybrid", ...firstPass },
  {
    strategy: "hybrid",
    name: "handover",
    turns: firstPass.when,
    trap: source(SOURCE, becomes("handover")),
    beforeCommit: true,
  },
  {
    strategy: "hybrid",
    name: "early post-copy",
    turns: firstPass.when,
    trap: source(SOURCE, becomes("postcopy")),
    beforeCommit: false,
  },
];

export const MOMENTS: readonly Moment[] = [...PRECOPY, ...POSTCOPY, ...HYBRID];
