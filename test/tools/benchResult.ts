/**
 * Results of the bench as a generator imagines them, for tests of what is done with results. No figure in here was
 * ever measured.
 */
import {
  type BenchResult,
  type Cell,
  type Factor,
  type Ledger,
  parseResult,
  RESULT_FORMAT,
  type Sample,
  type SystemInfo,
  seededRandom,
  type TimelinePoint,
} from "../../src/bench/mod.ts";

export interface Imagined {
  readonly seed: number;
  readonly repeats?: number;
  readonly cells?: readonly Cell[];
  readonly systems?: readonly SystemInfo[];
  /** Standard deviation of a figure's logarithm. */
  readonly noise?: number;
  /** How fast the machine was that day: all times are multiplied. */
  readonly drift?: number;
  /** Multiplies times, bytes and CPU time of a sample; NaN: it failed. */
  readonly cost?: (cell: Cell, system: SystemInfo, repeat: number) => number;
}

export const STOCK: SystemInfo = { name: "stock", about: "pre-copy as an operator runs it", family: "stock" };
export const SYSTEMS: readonly SystemInfo[] = [
  STOCK,
  { name: "stock-xbzrle", about: "pre-copy with a delta cache", family: "stock" },
  { name: "stock-multifd-zstd", about: "pre-copy over four channels with zstd", family: "stock" },
  { name: "stock-postcopy", about: "post-copy after one pass", family: "stock" },
  { name: "godwit-precopy", about: "the relays, as the stream comes", family: "godwit" },
  { name: "godwit-hybrid", about: "the relays, post-copy when it does not converge", family: "godwit" },
];

export function imaginedCell(name: string, more: Partial<Cell> = {}): Cell {
  return {
    name,
    about: `an imagined cell named ${name}`,
    load: "none",
    memoryMib: 160,
    cpus: 1,
    workload: { setMib: 32, pagesPerSec: 2000, mode: "random" },
    link: { bytesPerSec: 25e6, latencyMs: 1, jitterMs: 0 },
    guests: 1,
    timeLimitMs: 60_000,
    slaLimitMs: 100,
    factor: null,
    ...more,
  };
}

/** A curve of cells along one factor. */
export function imaginedCurve(name: Factor, xs: readonly number[]): Cell[] {
  return xs.map((x) => imaginedCell(`${name}-${x}`, { factor: { name, x } }));
}

const CELLS = [
  imaginedCell("redis", { load: "redis", about: "Redis under mixed GET and SET" }),
  imaginedCell("idle-page-cache", { about: "an idle guest whose page cache is full of its disk" }),
  imaginedCell("stress-ng", { load: "stress-ng", about: "stress-ng --vm in several methods" }),
];

export function imagined(options: Imagined): BenchResult {
  const { seed, repeats = 3, cells = CELLS, systems = SYSTEMS, noise = 0.04, drift = 1 } = options;
  const cost = options.cost ?? (() => 1);
  const random = seededRandom(seed);
  const lognormal = () =>
    Math.exp(noise * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
  const samples: Sample[] = [];
  for (const [c, cell] of cells.entries())
    for (let repeat = 0; repeat < repeats; repeat++)
      for (const [s, system] of systems.entries()) {
        const factor = cost(cell, system, repeat);
        const failed = Number.isNaN(factor);
        const size = (2 + c) * (failed ? 1 : factor);
        const ledger = imaginedLedger(cell, size, drift, failed, system.family === "godwit", lognormal);
        samples.push({
          cell: cell.name,
          system: system.name,
          repeat,
          order: samples.length,
          startedAt: new Date(Date.UTC(2026, 0, 1, 12, 0, 10 * (s + samples.length))).toISOString(),
          outcome: failed ? "failed" : "completed",
          error: failed ? "the move took longer than 60 s and was cancelled" : null,
          oracleClean: !failed,
          equal: system.family === "godwit" ? !failed : null,
          ledger,
        });
      }
  return parseResult(
    {
      format: RESULT_FORMAT,
      startedAt: "2026-01-01T12:00:00.000Z",
      durationMs: 1_234_000,
      commit: "0123456789abcdef0123456789abcdef01234567",
      dirty: false,
      command: "npm run bench -- --imagined",
      seed,
      repeats,
      machine: {
        processor: "An Imagined Processor",
        cores: 2,
        memoryBytes: 24 * 2 ** 30,
        kernel: "6.1.0",
        node: "v26.0.0",
        accel: "tcg",
        loadAverage: [0.5, 0.4, 0.3],
      },
      qemu: "7.2.22",
      cells: [...cells],
      systems: [...systems],
      skipped: [{ system: "stock-preempt", cell: null, reason: "this QEMU has no postcopy-preempt" }],
      samples,
      interrupted: false,
    } satisfies BenchResult,
    "imagined",
  );
}

function imaginedLedger(
  cell: Cell,
  size: number,
  drift: number,
  failed: boolean,
  godwit: boolean,
  noisy: () => number,
): Ledger {
  const totalTimeMs = 1500 * size * drift * noisy();
  const downtimeMs = (godwit ? 60 : 90) * size * drift * noisy();
  const wire = Math.round(20e6 * size * noisy());
  const cpuMs = { source: 400 * size * drift * noisy(), target: 300 * size * drift * noisy() };
  const phase = (perSec: number, worst: number) => ({
    durationMs: totalTimeMs,
    operations: Math.round((perSec * totalTimeMs) / 1000),
    perSec,
    latencyMs: { p50: 1.2, p95: 3.5, p99: 9, max: worst },
  });
  return {
    totalTimeMs: failed ? null : totalTimeMs,
    migrateTimeMs: failed ? null : totalTimeMs * 0.8,
    downtimeMs: failed ? null : downtimeMs,
    blackoutMs: failed ? 30 : downtimeMs + 25 * noisy(),
    passes: failed ? null : Math.round(3 * size),
    wireBytes: { forward: wire, backward: Math.round(wire / 500) },
    interfaceBytes: { forward: Math.round(wire * 1.01), backward: Math.round(wire / 480) },
    streamBytes: wire,
    pages: { sent: Math.round(wire / 4100), zero: 20_000 },
    cpuMs,
    guestCpuMs: totalTimeMs,
    extraRssBytes: godwit ? { source: 130e6, target: 120e6 } : { source: 0, target: 0 },
    energyJoules: { model: "cpu-time", joules: (cpuMs.source + cpuMs.target) * 0.01 },
    client:
      cell.load !== "redis"
        ? null
        : {
            unit: "GET or SET",
            before: phase(900, 20),
            during: phase(700, downtimeMs),
            after: phase(880, 25),
            throughputLoss: 0.22,
            longestStallMs: downtimeMs + 40,
            requestsLost: 0,
            connectionsLost: 0,
            slaWindows: { missed: 3, of: 40 },
          },
    timeline: imaginedTimeline(totalTimeMs, wire, failed),
  };
}

function imaginedTimeline(totalTimeMs: number, wire: number, failed: boolean): TimelinePoint[] {
  const steps = Math.max(2, Math.round(totalTimeMs / 100));
  const phaseAt = (share: number) =>
    share < 0.15 ? "setup" : share < 0.9 || failed ? "active" : share < 1 ? "device" : "completed";
  return Array.from({ length: steps + 1 }, (_, i) => {
    const share = i / steps;
    return {
      atMs: share * totalTimeMs,
      wireBytes: Math.round(wire * Math.max(0, (share - 0.15) / 0.85)),
      remainingBytes: share < 0.15 ? null : Math.round(160e6 * (1 - share) * (1 + 0.1 * Math.sin(i))),
      dirtyPagesPerSec: share < 0.3 ? null : 2000 + 200 * Math.sin(i),
      passes: share < 0.15 ? null : 1 + Math.floor(share * 4),
      phase: phaseAt(share),
    };
  });
}
