import type { EngineFigures } from "../pages/mod.ts";
import type { PagingFigures } from "../paging/mod.ts";
import { PageKind } from "../stream/mod.ts";
import type { Summary } from "./greeting.ts";
import type { RelayFigures } from "./types.ts";

/**
 * The counters of one relay for one migration. The relay adds to its fields as bytes and pages pass; `figures` is the
 * snapshot that agents and reports get.
 */
export class Meter {
  ramBytes = 0;
  streamBytes = 0;
  faults = 0;
  equal: boolean | null = null;
  postcopy = false;
  /** Set by the source relay before each snapshot. */
  engine: EngineFigures | null = null;
  paging: PagingFigures | null = null;
  backlogBytes = 0;
  deliveredBytesPerSec: number | null = null;
  reconnects = 0;
  readonly wireBytes = { forward: 0, backward: 0 };
  readonly #pages = { sent: 0, zero: 0, raw: 0, encoded: 0 };
  readonly #side: "source" | "target";
  readonly #startedMs = performance.now();
  readonly #cpuAtStart = process.cpuUsage();
  #rssBytes = 0;
  /** What the other side said of itself at the end. */
  #peer: Summary | undefined;

  constructor(side: "source" | "target") {
    this.#side = side;
  }

  countPage(kind: PageKind): void {
    this.#pages.sent++;
    if (kind === PageKind.page) this.#pages.raw++;
    else if (kind === PageKind.zero) this.#pages.zero++;
    else this.#pages.encoded++;
  }

  /** A digest was compared. One difference is never made good by a later agreement. */
  countVerdict(equal: boolean): void {
    this.equal = equal && this.equal !== false;
  }

  heardPeer(own: Summary): void {
    this.#peer = own;
  }

  /** CPU time since the migration began (user + system) and the largest resident set seen. */
  own(): { cpuMs: number; rssBytes: number } {
    const cpu = process.cpuUsage(this.#cpuAtStart);
    this.#rssBytes = Math.max(this.#rssBytes, process.memoryUsage.rss());
    return { cpuMs: (cpu.user + cpu.system) / 1000, rssBytes: this.#rssBytes };
  }

  figures(): RelayFigures {
    const own = this.own();
    const at = this.#side;
    const peer = this.#peer ?? null;
    const bySide = (field: "cpuMs" | "rssBytes") => ({
      source: at === "source" ? own[field] : (peer?.[field] ?? null),
      target: at === "target" ? own[field] : (peer?.[field] ?? null),
    });
    return {
      elapsedMs: performance.now() - this.#startedMs,
      ramBytes: this.ramBytes,
      streamBytes: this.streamBytes,
      wireBytes: { ...this.wireBytes },
      pages: { ...this.#pages },
      engine: this.#engineOfBoth(),
      paging: this.#pagingOfBoth(),
      faults: this.faults,
      reconnects: this.reconnects,
      equal: this.equal,
      postcopy: this.postcopy,
      backlogBytes: this.backlogBytes,
      deliveredBytesPerSec: this.deliveredBytesPerSec,
      cpuMs: bySide("cpuMs"),
      rssBytes: bySide("rssBytes"),
    };
  }

  #pagingOfBoth(): PagingFigures | null {
    if (this.paging === null || this.#peer === undefined) return this.paging;
    return { ...this.paging, faultTimes: this.#peer.faultTimes };
  }

  /** With what the target measured of its stages. */
  #engineOfBoth(): EngineFigures | null {
    if (this.engine === null || this.#peer === undefined) return this.engine;
    const { unpackMs, decodeMs } = this.#peer;
    return { ...this.engine, stageMs: { ...this.engine.stageMs, unpack: unpackMs, decode: decodeMs } };
  }
}
