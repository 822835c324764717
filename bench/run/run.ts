/** The whole run: cells one after another, in each of them systems in turns. */
import {
  type BenchResult,
  type Cell,
  type Floor,
  RESULT_FORMAT,
  type Sample,
  type SystemInfo,
} from "../../src/bench/mod.ts";
import { type BenchCell, resultCell } from "../cells/mod.ts";
import type { Home, Load, OpenHomeOptions, OpenStageOptions, Stage, System } from "../types.ts";
import { Interrupted, orInterrupted } from "./interrupt.ts";
import { checkout, machine } from "./machine.ts";
import { type PlannedCell, planRun, type Step } from "./plan.ts";
import { failedSample, PAUSES, type Pauses, takeSample } from "./sample.ts";
import { type Family, Slot } from "./slot.ts";

/** What the runner puts together, handed in so that its own rules can be tested without a QEMU. */
export interface Parts {
  openStage(options: OpenStageOptions): Promise<Stage>;
  loadNamed(name: string): Load;
  openHome: Readonly<Record<Family, (options: OpenHomeOptions) => Promise<Home>>>;
  /** Null: that home cannot tell. */
  measureFloor?(home: Home, link: Cell["link"]): Promise<Floor | null>;
}

export interface Run {
  readonly cells: readonly BenchCell[];
  /** null: those that each cell names, or all of `known`. */
  readonly systems: readonly System[] | null;
  readonly known: readonly System[];
  readonly qemu: OpenHomeOptions["qemu"];
  /** What runs the guests. */
  readonly accel: "kvm" | "tcg";
  readonly repeats: number;
  readonly seed: number;
  readonly loopback: boolean;
  /** The floor of each cell is measured before its first move. */
  readonly floor?: boolean;
  /** Default PAUSES. */
  readonly pauses?: Pauses;
  /** As it was typed. */
  readonly command: string;
  readonly signal: AbortSignal;
  /** After each sample. */
  onSample(sample: Sample, done: number, of: number): void;
  onWord(text: string): void;
  /** After each cell: what there would be if it ended here. */
  onCell?(soFar: BenchResult): void;
}

type Skipped = BenchResult["skipped"][number];

/**
 * Measures. An interrupted run resolves as well, with what there is so far; everything it started is closed.
 * @throws only what is a bug of the bench: failures of moves and of homes are samples
 */
export async function runBench(run: Run, parts: Parts): Promise<BenchResult> {
  const startedAt = new Date();
  const about = { ...checkout(), machine: machine(run.accel) };
  const skipped: Skipped[] = [];
  const samples: Sample[] = [];
  const floors = new Map<string, Floor>();
  let interrupted = false;
  let plan: readonly PlannedCell[] = [];
  const soFar = (): BenchResult => {
    const used = new Set([...samples, ...skipped].map(({ system }) => system));
    return {
      format: RESULT_FORMAT,
      startedAt: startedAt.toISOString(),
      durationMs: Date.now() - startedAt.getTime(),
      ...about,
      command: run.command,
      seed: run.seed,
      repeats: run.repeats,
      qemu: run.qemu.version,
      cells: run.cells.map((cell) => {
        const floor = floors.get(cell.name);
        return { ...resultCell(cell), ...(floor !== undefined && { floor }) };
      }),
      systems: run.known.filter(({ name }) => used.has(name)).map(systemInfo),
      skipped: [...skipped],
      samples: [...samples],
      interrupted,
    };
  };
  try {
    const able = await orInterrupted(ableSystems(run, skipped), run.signal);
    const byCell = run.cells.map((cell) => ({
      cell: cell.name,
      systems: wanted(run, cell)
        .filter((system) => able.has(system))
        .map(({ name }) => name),
    }));
    plan = planRun(
      byCell.filter(({ systems }) => systems.length > 0),
      run.repeats,
      run.seed,
    );
    let left = plan.reduce((sum, { steps }) => sum + steps.length, 0);
    for (const { cell: name, steps } of plan) {
      const cell = run.cells.find((one) => one.name === name)!;
      const unable = await runCell(run, parts, cell, steps, {
        onSample(sample) {
          samples.push(sample);
          left--;
          run.onSample(sample, samples.length, samples.length + left);
        },
        onFloor: (floor) => void floors.set(cell.name, floor),
      });
      if (unable === null) {
        run.onCell?.({ ...soFar(), interrupted: true });
        continue;
      }
      const systems = new Set(steps.map(({ system }) => system));
      skipped.push(...[...systems].map((system) => ({ system, cell: name, reason: unable })));
      run.onWord(`${name} is skipped: ${unable}`);
      left -= steps.length;
    }
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    interrupted = true;
  }
  return soFar();
}

function systemInfo({ name, about, family }: System): SystemInfo {
  return { name, about, family };
}

function wanted(run: Run, cell: BenchCell): readonly System[] {
  if (run.systems !== null) return run.systems;
  return run.known.filter(({ name }) => cell.systems === null || cell.systems.includes(name));
}

/** Those systems of the run that this QEMU has; the others are put on the list of what is skipped. */
async function ableSystems(run: Run, skipped: Skipped[]): Promise<Set<System>> {
  const able = new Set<System>();
  for (const system of new Set(run.cells.flatMap((cell) => wanted(run, cell)))) {
    const reason = await system.lacks(run.qemu);
    if (reason === null) able.add(system);
    else {
      skipped.push({ system: system.name, cell: null, reason });
      run.onWord(`${system.name} is skipped: ${reason}`);
    }
  }
  return able;
}

/** @returns why this cell cannot be measured here; null when it was */
async function runCell(
  run: Run,
  parts: Parts,
  cell: BenchCell,
  steps: readonly Step[],
  { onSample, onFloor }: { onSample(sample: Sample): void; onFloor(floor: Floor): void },
): Promise<string | null> {
  const { signal, pauses = PAUSES } = run;
  const familyOf = (system: string) => run.known.find(({ name }) => name === system)!.family;
  const load = parts.loadNamed(cell.load);
  const families = [...new Set(steps.map(({ system }) => familyOf(system)))].sort();
  const opening = parts.openStage({
    link: cell.link,
    guests: load.network ? cell.guests * families.length : 0,
    loopback: run.loopback,
  });
  let stage: Stage;
  try {
    stage = await orInterrupted(opening, signal);
  } catch (error) {
    if (signal.aborted) {
      await opening.then((late) => late.close()).catch(() => undefined); // it was being made: let nothing stay
      throw error;
    }
    for (const step of steps) onSample(failedSample(cell, step, error));
    return null;
  }
  const slots = families.map(
    (family, i) =>
      new Slot({
        ...{ family, stage, cell, load, signal, seed: run.seed, qemu: run.qemu },
        open: parts.openHome[family],
        first: i * cell.guests,
      }),
  );
  try {
    if (load.network && !stage.apart)
      return `the load ${load.name} needs a network for guests, and so root and network namespaces`;
    if (run.floor === true) await tellFloor(run, parts, cell, slots, onFloor);
    for (const step of steps) {
      const slot = slots.find(({ family }) => family === familyOf(step.system))!;
      onSample(await takeSample({ stage, cell, load, slots, signal, pauses }, slot, step));
    }
    return null;
  } finally {
    // what cannot be closed must not take hours of samples with it
    for (const slot of slots) await slot.close().catch((error) => run.onWord(`closing a home: ${error}`));
    await stage.close().catch((error) => run.onWord(`closing the stage: ${error}`));
  }
}

/** Of the stock guests, where there are any: those of the other home are alike. A floor that cannot be had is no failure. */
async function tellFloor(
  run: Run,
  parts: Parts,
  cell: BenchCell,
  slots: readonly Slot[],
  onFloor: (floor: Floor) => void,
): Promise<void> {
  const slot = slots.find(({ family }) => family === "stock");
  try {
    const home = slot === undefined ? undefined : await orInterrupted(slot.running(), run.signal);
    const measuring = home && parts.measureFloor?.(home, cell.link);
    const floor = measuring === undefined ? null : await orInterrupted(measuring, run.signal);
    if (floor === null) return run.onWord(`${cell.name}: no floor without a stock system in the run`);
    onFloor(floor);
    run.onWord(`${cell.name}: floor ${(floor.packedBytes / 2 ** 20).toFixed(1)} MiB`);
  } catch (error) {
    if (run.signal.aborted) throw error;
    await slot?.close().catch(() => undefined);
    run.onWord(`${cell.name}: no floor: ${error instanceof Error ? error.message : String(error)}`);
  }
}
