/** What an agent has on its disk: survives it, and can be full. */
import type { History, HistoryKind } from "../../src/agent/context.ts";

interface Row {
  readonly kind: HistoryKind;
  readonly id: string;
  readonly vm: string;
  readonly text: string;
}

export class Disk implements History {
  readonly #rows = new Map<string, Row>();
  /** Writes fail until then. */
  fullUntilMs = 0;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  put(kind: HistoryKind, id: string, vm: string, value: object): void {
    if (this.#now() < this.fullUntilMs) throw new Error("database or disk is full");
    this.#rows.delete(`${kind} ${id}`);
    this.#rows.set(`${kind} ${id}`, { kind, id, vm, text: JSON.stringify(value) });
  }

  get<T>(kind: HistoryKind, id: string): T | null {
    const row = this.#rows.get(`${kind} ${id}`);
    return row === undefined ? null : (JSON.parse(row.text) as T);
  }

  list<T>(kind: HistoryKind, options: { readonly vm?: string; readonly limit?: number } = {}): T[] {
    const rows = [...this.#rows.values()].filter(
      (row) => row.kind === kind && row.vm === (options.vm ?? row.vm),
    );
    return rows
      .reverse()
      .slice(0, options.limit ?? 100)
      .map(({ text }) => JSON.parse(text) as T);
  }

  remove(kind: HistoryKind, id: string): void {
    this.#rows.delete(`${kind} ${id}`);
  }
}
