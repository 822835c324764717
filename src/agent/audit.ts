import { createHash } from "node:crypto";
import { chmodSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setImmediate as turn } from "node:timers/promises";
import type { Logger } from "pino";
import { z } from "zod";
import type { Clock } from "./context.ts";

const NO_HASH = "0".repeat(64);
const PAGE = 500;

/** One line of the audit log. Nothing in it is secret. */
export const auditEntrySchema = z.object({
  seq: z.number().describe("1, 2, 3, ... without a gap"),
  at: z.string().describe("ISO 8601, UTC"),
  who: z.object({
    role: z
      .string()
      .nullable()
      .describe("viewer, operator, admin or host; null: nobody that could be believed"),
    name: z.string().nullable(),
    how: z.string().describe("unix socket, tls, plain, or agent: it did so itself"),
    from: z.string().nullable().describe("address"),
  }),
  order: z.string(),
  subject: z.string().nullable().describe("the VM"),
  migration: z.string().nullable(),
  detail: z.string().nullable(),
  outcome: z.enum(["accepted", "refused"]),
  error: z.string().nullable().describe("a code of docs/errors.md"),
  times: z.number().describe("how many refusals of one kind this line stands for"),
});
export type AuditEntry = z.output<typeof auditEntrySchema>;

/** What is to be written: number and time are the log's. */
export type AuditLine = Omit<AuditEntry, "seq" | "at">;

/** An entry with the hash that chains it: SHA-256 of the former hash, a newline, and the entry's JSON. */
export const hashedEntrySchema = auditEntrySchema.extend({ hash: z.string() });

export const auditVerdictSchema = z.object({
  entries: z.number(),
  head: z
    .object({ seq: z.number(), hash: z.string() })
    .describe("note it elsewhere: a log cut short has another"),
  broken: z.object({ seq: z.number(), problem: z.string() }).nullable().describe("null: every hash fits"),
});
export type AuditVerdict = z.output<typeof auditVerdictSchema>;

interface Head {
  readonly seq: number;
  readonly hash: string;
}

/**
 * Who ordered what, and what became of it: append-only in its own SQLite file, each entry chained to the one before by
 * SHA-256, so that a change from outside shows (Schneier and Kelsey, "Secure Audit Logs to Support Computer
 * Forensics", 1999, have the idea; there is no key here, so whoever may write the file could also make all of it anew:
 * note the head elsewhere). On the disk when `write` returns.
 */
export class AuditLog {
  readonly #db: DatabaseSync;
  readonly #clock: Clock;
  readonly #log: Logger;
  #head: Head;

  constructor(path: string, clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
    this.#db = new DatabaseSync(path);
    chmodSync(path, 0o600);
    this.#db.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS entry (
        seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, json TEXT NOT NULL, hash TEXT NOT NULL
      ) STRICT;
      CREATE TRIGGER IF NOT EXISTS entry_stays BEFORE UPDATE ON entry
        BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
      CREATE TRIGGER IF NOT EXISTS entry_remains BEFORE DELETE ON entry
        BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
      -- A replacing insert deletes without asking the trigger above.
      CREATE TRIGGER IF NOT EXISTS entry_follows BEFORE INSERT ON entry
        WHEN new.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM entry)
        BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;`);
    this.#head = this.#headOnDisk();
  }

  /**
   * Appends one entry. It never throws: an order that was carried out already cannot be refused for its entry. What
   * cannot be written (the disk is full) goes to the agent's own log, loudly.
   */
  write(line: AuditLine): void {
    try {
      const found = this.#headOnDisk();
      if (found.seq !== this.#head.seq || found.hash !== this.#head.hash) {
        this.#log.error({ found, expected: this.#head }, "the audit log was changed from outside");
        const detail = `it ended with entry ${found.seq}, and ${this.#head.seq} had been written`;
        this.#append({ ...byItself("audit log found changed", detail), error: "AUDIT_BROKEN" }, found);
      }
      this.#append(line, this.#head);
    } catch (error) {
      this.#log.error({ err: error, audit: line }, "audit entry not written to its file; it is in this line");
    }
  }

  /** Entries of a time and on, oldest first. */
  list(options: { readonly sinceMs?: number; readonly after?: number; readonly limit?: number } = {}) {
    const rows = this.#rows(options.after ?? 0, options.sinceMs ?? null, options.limit ?? PAGE);
    return rows.map((row) => ({ ...readable(row), hash: row.hash }));
  }

  get head(): Head {
    return this.#head;
  }

  /** Goes through the whole file, a page at a time so that the agent stays awake; says where it stops being true. */
  async verify(): Promise<AuditVerdict> {
    const last = this.#head;
    let head: Head = { seq: 0, hash: NO_HASH };
    const verdict = (broken: AuditVerdict["broken"]) => ({ entries: head.seq, head, broken });
    for (;;) {
      const rows = this.#rows(head.seq, null, PAGE);
      for (const row of rows) {
        const problem = problemOf(row, head);
        if (problem !== null) return verdict({ seq: head.seq + 1, problem });
        head = { seq: row.seq, hash: row.hash };
        // What this agent wrote itself it still knows, so a chain made anew up to there does not fit.
        if (head.seq === last.seq && head.hash !== last.hash)
          return verdict({ seq: head.seq, problem: "another entry stands than was written" });
      }
      if (rows.length < PAGE) break;
      await turn();
    }
    if (head.seq < last.seq)
      return verdict({ seq: head.seq + 1, problem: "the entries end, and more had been written" });
    return verdict(null);
  }

  close(): void {
    this.#db.close();
  }

  #append(line: AuditLine, before: Head): void {
    const atMs = Math.round(this.#clock.wallMs());
    const seq = before.seq + 1;
    const json = JSON.stringify({ seq, at: new Date(atMs).toISOString(), ...line } satisfies AuditEntry);
    const hash = chained(before.hash, json);
    this.#db
      .prepare("INSERT INTO entry (seq, at_ms, json, hash) VALUES (?, ?, ?, ?)")
      .run(seq, atMs, json, hash);
    this.#head = { seq, hash };
  }

  #headOnDisk(): Head {
    const row = this.#db.prepare("SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1").get();
    return row === undefined
      ? { seq: 0, hash: NO_HASH }
      : { seq: Number(row["seq"]), hash: String(row["hash"]) };
  }

  #rows(after: number, sinceMs: number | null, limit: number): Row[] {
    return this.#db
      .prepare(
        `SELECT seq, at_ms AS atMs, json, hash FROM entry
         WHERE seq > ?1 AND (?2 IS NULL OR at_ms >= ?2) ORDER BY seq LIMIT ?3`,
      )
      .all(after, sinceMs, limit) as unknown as Row[];
  }
}

interface Row {
  readonly seq: number;
  readonly atMs: number;
  readonly json: string;
  readonly hash: string;
}

/** The entry of a row; something in its place where it was changed beyond recognition. */
function readable(row: Row): AuditEntry {
  const at = new Date(Math.min(Math.max(row.atMs, 0), 8.64e15)).toISOString();
  const unreadable = { seq: row.seq, at, ...byItself("unreadable entry", null) };
  try {
    return auditEntrySchema.safeParse(JSON.parse(row.json)).data ?? unreadable;
  } catch {
    return unreadable;
  }
}

/** What is wrong with a row that should follow `before`; null: nothing. */
function problemOf(row: Row, before: Head): string | null {
  if (row.seq !== before.seq + 1) return `is missing; the next is ${row.seq}`;
  if (chained(before.hash, row.json) !== row.hash) return "the hash does not fit the entry";
  const { seq, at } = JSON.parse(row.json) as AuditEntry; // its hash fits: it is what was written
  return seq === row.seq && Date.parse(at) === row.atMs ? null : "number or time is not the entry's own";
}

function chained(before: string, json: string): string {
  return createHash("sha256").update(`${before}\n${json}`).digest("hex");
}

/** A line about what the agent did or found itself. */
export function byItself(order: string, detail: string | null): AuditLine {
  const who = { role: null, name: null, how: "agent", from: null };
  const none = { subject: null, migration: null, error: null };
  return { who, order, detail, ...none, outcome: "accepted", times: 1 };
}
