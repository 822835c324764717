export { type KvmVerdict, kvmVerdict } from "./accel.ts";
export { type AdoptOptions, adoptVm, reopenVm } from "./adopt.ts";
export { type VmPaths, vmPaths } from "./args.ts";
export { Balloon, type GuestFigures } from "./balloon.ts";
export type {
  CommandAnswer,
  CommandArgs,
  CommandName,
  CpuDefinition,
  MachineInfo,
  MigrationInfo,
  MigrationParameters,
  MigrationRam,
  MigrationStatus,
  QemuVersion,
  QmpEvent,
  RunState,
} from "./commands.ts";
export { type GuestBlock, type GuestMemoryMap, locateGuestMemory } from "./guestMemory.ts";
export { type LaunchOptions, launchVm, logTail, type RunningVm, recordOf, stopVm } from "./launch.ts";
export { LineSplitter } from "./lines.ts";
export { Monitor, openMonitor } from "./monitor.ts";
export {
  DEFAULT_QEMU,
  postcopyObstacle,
  probeQemu,
  type QemuCommand,
  type QemuFacts,
  resolveMachine,
} from "./probe.ts";
export { isAlive, listenerOf, type ProcessId, processId, signal, waitForExit } from "./process.ts";
export { connectQmp, type ExecuteOptions, Qmp, type QmpOptions } from "./qmp.ts";
export { readRecord, type VmRecord, writeRecord } from "./record.ts";
export { resolveSpec } from "./resolve.ts";
export { openLog, privateDir, socketPath } from "./runDir.ts";
export { formatSize, parseSize, SIZE_FORMS } from "./size.ts";
export {
  type BalloonFeatures,
  balloonOf,
  memoryBytesOf,
  parseResolvedSpec,
  parseSpec,
  type ResolvedSpec,
  resolvedSpecSchema,
  VM_NAME,
  type VmSpec,
  type VmSpecInput,
  vmSpecSchema,
} from "./spec.ts";
export { losesWrites } from "./tcgMemory.ts";
export { USERFAULTFD_WAYS } from "./userfaultfd.ts";
export { versionText } from "./version.ts";
