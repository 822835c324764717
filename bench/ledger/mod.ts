/** The cost ledger of one migration, computed from what was observed. Pure. */
export { type ClientInput, type ClientSpans, clientFigures, SLA_WINDOW_MS, type Span } from "./client.ts";
export { type EnergyReading, energyOf, WATTS_PER_BUSY_CORE } from "./energy.ts";
export { faultShareOf, networkFaults, workingPages } from "./faults.ts";
export { emptyLedger, equalOf, type LedgerInput, ledgerOf } from "./ledger.ts";
export { type WirePoint, wireBytesAt, withWireBytes } from "./wire.ts";
