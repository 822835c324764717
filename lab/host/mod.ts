export { type LabHost, type LabHosts, openLabHosts } from "./hosts.ts";
export { type CutManner, type Shaper, type ShaperOptions, startShaper } from "./shaper.ts";
export { forkShaper, type ShaperProcess } from "./shaper_process.ts";
