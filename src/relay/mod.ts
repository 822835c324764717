/** The two relays: QEMU's stream in, the link between, QEMU's stream out. */

export type { RamSection } from "../stream/mod.ts";
export { splitAddress } from "./address.ts";
export type { RelayHooks } from "./hooks.ts";
export { type LocalListener, listenLocal } from "./localSocket.ts";
export { RELAY_ENVIRONMENT, RELAY_FLAGS } from "./process.ts";
export { listenAsCompleter } from "./recovery/completer.ts";
export { type MemoryMap, SourceMemory } from "./recovery/sourceMemory.ts";
export { REHEARSE } from "./rehearsal.ts";
export { startRelay } from "./start.ts";
export {
  NO_FIGURES,
  type RelayEvent,
  type RelayFigures,
  type RelayOptions,
  type RelayOrder,
  type RelayTls,
  type RescueRelayOptions,
  type RunningRelay,
  type SourceRelayOptions,
  type StreamLimits,
  type TargetRelayOptions,
} from "./types.ts";
