/** The rig of tests and benches: real QEMUs with the lab guest, driven over QMP without agents. */
export {
  type RigEar,
  type RigGuest,
  type RigVm,
  rigSpec,
  startGuest,
  startTarget,
  until,
  verified,
} from "./guest.ts";
export { ended, type Moved, type MoveOptions, move, status } from "./move.ts";
export { type RigRelay, startRelayPair, startRigRelay } from "./relays.ts";
