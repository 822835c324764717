export { GodwitError, isGodwitError, type WireError } from "./error.ts";
export { ABOUT, type ErrorCode, EXIT, type Fields } from "./table.ts";
