import type { Refused } from "../trust/mod.ts";
import type { AuditLine } from "./audit.ts";

/** Kinds that are told apart at one time; whoever knocks from more addresses becomes one kind together. */
const KINDS_MAX = 64;

/**
 * Refusals, fit for an audit log: whoever is refused decides how often, so of each kind (who, what, why) the first is
 * written at once, and those that follow within a while as one line with their number.
 */
export class Refusals {
  readonly #write: (line: AuditLine) => void;
  readonly #waitMs: number;
  readonly #waiting = new Map<string, { line: AuditLine; more: number; timer: NodeJS.Timeout }>();

  constructor(write: (line: AuditLine) => void, waitMs = 10_000) {
    this.#write = write;
    this.#waitMs = waitMs;
  }

  add(line: AuditLine): void {
    const full = this.#waiting.size >= KINDS_MAX;
    const own = JSON.stringify([line.who, line.order, line.subject, line.migration, line.error]);
    const key = full && !this.#waiting.has(own) ? "others" : own;
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      waiting.more += 1;
      return;
    }
    this.#write(line);
    const timer = setTimeout(() => this.#end(key), this.#waitMs);
    timer.unref();
    this.#waiting.set(key, { line: key === own ? line : others(line), more: 0, timer });
  }

  /** Writes what is still counted. */
  stop(): void {
    for (const key of [...this.#waiting.keys()]) this.#end(key);
  }

  #end(key: string): void {
    const { line, more, timer } = this.#waiting.get(key)!;
    clearTimeout(timer);
    this.#waiting.delete(key);
    if (more > 0) this.#write({ ...line, times: more });
  }
}

function others(line: AuditLine): AuditLine {
  const who = { role: null, name: null, how: line.who.how, from: null };
  return {
    ...line,
    who,
    order: "various",
    subject: null,
    migration: null,
    detail: "from many addresses",
    error: null,
  };
}

/** The entry for a peer, or for who posed as one, that was refused before it could order anything. */
export function refusedPeer({ what, identity, address, error }: Refused): AuditLine {
  const from = address?.replace(/:\d+$/, "") ?? null; // the port changes with each knock
  const who = { role: identity?.kind ?? null, name: identity?.name ?? null, how: "tls", from };
  const nothing = { subject: null, migration: null, detail: error.message };
  return {
    who,
    order: `connect to the ${what}`,
    ...nothing,
    outcome: "refused",
    error: error.code,
    times: 1,
  };
}
