export { InvariantBroken } from "./assert.ts";
export {
  type Ballooned,
  isPressed,
  type MemoryFigures,
  nextSmaller,
  relievedSize,
  reserveBytes,
  spareBytesOf,
} from "./balloon.ts";
export { Convergence, type ConvergenceOrder, type Tick, type Verdict } from "./convergence.ts";
export { RULES, type Rule } from "./convergenceRules.ts";
export {
  SOURCE_EDGES,
  SOURCE_MAY_RUN,
  SOURCE_UNRECORDED,
  type SourcePhase,
  TARGET_EDGES,
  TARGET_MAY_RUN,
  TARGET_RECORDED,
  type TargetPhase,
} from "./phases.ts";
export { type RateRange, rateOfPass, STEP_BYTES_PER_SEC } from "./rate.ts";
export {
  type Advice,
  adviseSource,
  adviseTarget,
  type OtherSeen,
  type Permission,
  type QemuSeen,
  type SideSeen,
  SOURCE_UNSETTLED,
  TARGET_UNSETTLED,
} from "./recovery.ts";
export {
  type AgentFacts,
  agentReport,
  type BalloonTaken,
  type Both,
  type CarriedFigures,
  type Decision,
  NOTHING_CARRIED,
  type Report,
  ReportStatus,
  relayReport,
  STRATEGIES,
  type Strategy,
  type SwitchoverFacts,
} from "./report.ts";
export {
  canCancel,
  canPostcopy,
  refusesPostcopy,
  reportedError,
  type SourceEffect,
  type SourceEvent,
  type SourceState,
  sourceSettled,
  sourceStart,
  sourceStep,
} from "./source.ts";
export {
  endsByRule,
  mayTurnByRule,
  mayUsePostcopy,
  type Plan,
  stopsFirst,
  TIMEOUT_ACTIONS,
  type TimeoutAction,
} from "./strategy.ts";
export {
  type TargetEffect,
  type TargetEvent,
  type TargetState,
  targetSettled,
  targetStart,
  targetStep,
} from "./target.ts";
export type { CarriedSample } from "./throughput.ts";
