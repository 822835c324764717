export { registerMigrations } from "./register.ts";
export { parsePortRange, RelayPorts } from "./relayPorts.ts";
export { SpareRelay } from "./spareRelay.ts";
