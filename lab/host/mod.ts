export { atEnd } from "./guard.ts";
export { type LabHost, type LabHosts, openLabHosts } from "./hosts.ts";
export { canMakeNamespaces, type Namespaces, openNamespaces } from "./namespaces.ts";
export { type CutManner, type Forward, type Shaper, type ShaperOptions, startShaper } from "./shaper.ts";
export { forkShaper, type ShaperProcess } from "./shaper_process.ts";
