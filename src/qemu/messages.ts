import type { QmpEvent } from "./commands.ts";

/** What the first message of a monitor says. */
export interface Greeting {
  readonly oob: boolean;
}

export type Message =
  | { readonly kind: "greeting"; readonly greeting: Greeting }
  | { readonly kind: "event"; readonly event: Omit<QmpEvent, "readAtMs"> }
  | { readonly kind: "answer"; readonly id: string; readonly answer: unknown }
  | { readonly kind: "error"; readonly id: string; readonly class: string; readonly desc: string }
  | { readonly kind: "bad" };

const BAD: Message = { kind: "bad" };

/** One line of a monitor. Never throws: what is not QMP is `bad`. */
export function parseMessage(line: string): Message {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return BAD; // counted by the reader, which gives up after a few
  }
  if (!isObject(parsed)) return BAD;
  if (isObject(parsed.QMP)) {
    const { capabilities } = parsed.QMP;
    return {
      kind: "greeting",
      greeting: { oob: Array.isArray(capabilities) && capabilities.includes("oob") },
    };
  }
  if (typeof parsed.event === "string") {
    const data = isObject(parsed.data) ? parsed.data : {};
    return {
      kind: "event",
      event: { event: parsed.event, timestampMs: timestampMs(parsed.timestamp), data },
    };
  }
  const id = typeof parsed.id === "string" ? parsed.id : "";
  if (isObject(parsed.error))
    return { kind: "error", id, class: String(parsed.error.class), desc: String(parsed.error.desc) };
  if ("return" in parsed) return { kind: "answer", id, answer: parsed.return };
  return BAD;
}

/** -1 seconds is QEMU's way to say that its clock failed. */
function timestampMs(timestamp: unknown): number {
  if (!isObject(timestamp)) return Number.NaN;
  return Number(timestamp.seconds) * 1000 + Number(timestamp.microseconds) / 1000;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
