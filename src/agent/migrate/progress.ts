import type { MigrationInfo } from "../../qemu/mod.ts";
import type { RelayFigures } from "../../relay/mod.ts";

/** What progress says of a running migration; null: not known (yet). */
export interface Progress {
  readonly pass: number | null;
  readonly ramBytes: number | null;
  readonly remainingBytes: number | null;
  readonly streamBytesPerSec: number | null;
  readonly wireBytesPerSec: number | null;
  readonly dirtyBytesPerSec: number | null;
  readonly expectedDowntimeMs: number | null;
  readonly timeLeftMs: number | null;
}

/** Rates are taken over at least this long. */
const INTERVAL_MS = 900;

/** Makes progress figures from what QEMU and the relay say now and said a moment ago. */
export class ProgressMeter {
  #info: MigrationInfo = {};
  #pass: number | null = null;
  #figures: RelayFigures | null = null;
  #from: RelayFigures | null = null;
  #expectedDowntimeMs: number | null = null;
  #rates: { stream: number; wire: number } | null = null;

  /** QEMU's dirty-sync-count; the largest number heard. */
  get pass(): number | null {
    return this.#pass;
  }

  qemu(info: MigrationInfo): void {
    this.#info = info;
    const pass = info.ram?.["dirty-sync-count"];
    if (pass !== undefined) this.passed(pass);
  }

  /** What the controller expects of a stop: QEMU itself knows nothing of encodings. null: QEMU's word is taken. */
  expects(downtimeMs: number | null): void {
    this.#expectedDowntimeMs = downtimeMs;
  }

  passed(pass: number): void {
    this.#pass = Math.max(this.#pass ?? 0, pass);
  }

  relay(figures: RelayFigures): void {
    this.#figures = figures;
    const from = this.#from;
    const ms = from ? figures.elapsedMs - from.elapsedMs : 0;
    if (from === null) this.#from = figures;
    if (from === null || ms < INTERVAL_MS) return;
    this.#rates = {
      stream: ((figures.streamBytes - from.streamBytes) / ms) * 1000,
      wire: ((figures.wireBytes.forward - from.wireBytes.forward) / ms) * 1000,
    };
    this.#from = figures;
  }

  read(): Progress {
    const { ram } = this.#info;
    const remainingBytes = ram?.remaining ?? null;
    const stream = this.#rates?.stream ?? null;
    return {
      pass: this.#pass,
      ramBytes: this.#figures?.ramBytes || ram?.total || null,
      remainingBytes,
      streamBytesPerSec: stream,
      wireBytesPerSec: this.#rates?.wire ?? null,
      dirtyBytesPerSec: ram ? ram["dirty-pages-rate"] * ram["page-size"] : null,
      expectedDowntimeMs: this.#expectedDowntimeMs ?? this.#info["expected-downtime"] ?? null,
      timeLeftMs: remainingBytes !== null && stream ? Math.round((remainingBytes / stream) * 1000) : null,
    };
  }
}
