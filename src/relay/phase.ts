/** How far the carried stream has come; named in errors, and it decides what a failure means for the guest. */
export const RelayPhase = {
  setup: "setup",
  memory: "memory",
  /** The source's guest is stopped and its device state is on its way. */
  deviceState: "device state",
  /** The package was passed on: the target's guest runs, its memory is on both hosts. */
  postcopy: "postcopy",
} as const;
export type RelayPhase = (typeof RelayPhase)[keyof typeof RelayPhase];
