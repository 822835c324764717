export { readFlags, whole } from "./commandLine.ts";
export {
  type GuestLine,
  GuestOracle,
  guestCommandLine,
  MANNERS,
  type Manner,
  parseGuestLine,
  tcgMemory,
  type Workload,
} from "./guest/mod.ts";
export {
  type CutManner,
  forkShaper,
  type LabHost,
  type LabHosts,
  openLabHosts,
  type Shaper,
  type ShaperOptions,
  type ShaperProcess,
  startShaper,
} from "./host/mod.ts";
export { type Artefacts, artefacts, cacheDir, chromium, type QemuArtefact } from "./setup/mod.ts";
