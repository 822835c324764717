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
export { LineSplitter } from "./lines.ts";
export { Monitor, openMonitor } from "./monitor.ts";
export { connectQmp, type ExecuteOptions, Qmp, type QmpOptions } from "./qmp.ts";
export { formatSize, parseSize, SIZE_FORMS } from "./size.ts";
export {
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
