/** The two relays: QEMU's stream in, the link between, QEMU's stream out. */
export { splitAddress } from "./address.ts";
export type { RelayHooks } from "./hooks.ts";
export { type LocalListener, listenLocal } from "./localSocket.ts";
export { startRelay } from "./start.ts";
export type {
  RelayEvent,
  RelayFigures,
  RelayOptions,
  RelayOrder,
  RunningRelay,
  SourceRelayOptions,
  TargetRelayOptions,
} from "./types.ts";
