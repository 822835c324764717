export { registerMigrations } from "./register.ts";
export { parsePortRange, RelayPorts } from "./relayPorts.ts";
export { TICKET_MS } from "./relayTrust.ts";
export { SpareRelay } from "./spareRelay.ts";
