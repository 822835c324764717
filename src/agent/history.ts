import { DatabaseSync } from "node:sqlite";
import type { Clock, History, HistoryKind } from "./context.ts";

const LIMIT = 100;

/** History in one sqlite file. A put is on the disk when it returns, which the commit of a migration relies on. */
export class SqliteHistory implements History {
  readonly #db: DatabaseSync;
  readonly #clock: Clock;

  constructor(path: string, clock: Clock) {
    this.#clock = clock;
    this.#db = new DatabaseSync(path);
    this.#db.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS record (
        kind TEXT NOT NULL, id TEXT NOT NULL, vm TEXT NOT NULL, at_ms REAL NOT NULL, json TEXT NOT NULL,
        PRIMARY KEY (kind, id)
      ) STRICT;
      CREATE INDEX IF NOT EXISTS record_newest ON record (kind, at_ms);`);
  }

  put(kind: HistoryKind, id: string, vm: string, value: object): void {
    this.#db
      .prepare(
        `INSERT INTO record (kind, id, vm, at_ms, json) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (kind, id) DO UPDATE SET vm = excluded.vm, json = excluded.json`,
      )
      .run(kind, id, vm, this.#clock.wallMs(), JSON.stringify(value));
  }

  get<T>(kind: HistoryKind, id: string): T | null {
    const row = this.#db.prepare("SELECT json FROM record WHERE kind = ? AND id = ?").get(kind, id);
    return row === undefined ? null : (JSON.parse(String(row["json"])) as T);
  }

  list<T>(kind: HistoryKind, options: { readonly vm?: string; readonly limit?: number } = {}): T[] {
    const rows = this.#db
      .prepare(
        `SELECT json FROM record WHERE kind = ?1 AND (?2 IS NULL OR vm = ?2)
         ORDER BY at_ms DESC, rowid DESC LIMIT ?3`,
      )
      .all(kind, options.vm ?? null, options.limit ?? LIMIT);
    return rows.map((row) => JSON.parse(String(row["json"])) as T);
  }

  remove(kind: HistoryKind, id: string): void {
    this.#db.prepare("DELETE FROM record WHERE kind = ? AND id = ?").run(kind, id);
  }

  close(): void {
    this.#db.close();
  }
}
