/** The payload of reject and abort: an error as flat JSON, so that the other side knows why. */
import { FAULT_BYTES_MAX } from "./kinds.ts";

/** Same shape as WireError of src/errors; this module imports nothing. */
export interface WireFault {
  readonly code: string;
  readonly fields: Record<string, string | number | boolean | null>;
  readonly message: string;
}
export type FaultFault = "utf8" | "json" | "shape" | "fields_not_flat";

const TEXT_CHARS_MAX = 256;
const FIELDS_MAX = 12;

/** Long texts are cut and deep values written as JSON text, so that the result is always <= FAULT_BYTES_MAX. */
export function encodeFault(error: {
  code: string;
  fields: Record<string, unknown>;
  message: string;
}): Uint8Array {
  const fields: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(error.fields).slice(0, FIELDS_MAX)) fields[key] = flat(value);
  const encoder = new TextEncoder();
  const whole = encoder.encode(JSON.stringify({ code: error.code, fields, message: flat(error.message) }));
  if (whole.length <= FAULT_BYTES_MAX) return whole;
  // Many characters outside ASCII: the code alone says enough.
  return encoder.encode(JSON.stringify({ code: error.code, fields: {}, message: error.code }));
}

function flat(value: unknown): unknown {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return text.slice(0, TEXT_CHARS_MAX);
}

/** The error in a reject or abort, or the name of the first rule its bytes break. Never throws. */
export function decodeFault(bytes: Uint8Array): WireFault | FaultFault {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return "utf8"; // the only reason why a fatal decoder throws
  }
  try {
    value = JSON.parse(text);
  } catch {
    return "json"; // the only reason why JSON.parse of a string throws
  }
  if (typeof value !== "object" || value === null) return "shape";
  const { code, fields, message } = value as Record<string, unknown>;
  if (typeof code !== "string" || typeof message !== "string") return "shape";
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return "shape";
  for (const field of Object.values(fields))
    if (field !== null && !["string", "number", "boolean"].includes(typeof field)) return "fields_not_flat";
  return { code, fields: fields as WireFault["fields"], message };
}
