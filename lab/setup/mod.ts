export { type Artefacts, artefacts, type QemuArtefact } from "./artefacts.ts";
export { cacheDir } from "./cache.ts";
export { chromium } from "./chromium.ts";
export type { LoadArtefacts } from "./loads.ts";
export { tcpdump } from "./tcpdump.ts";
