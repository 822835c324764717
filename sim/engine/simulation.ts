/** One clock, one queue of events, and the processes they belong to. Everything of a world happens in `run`, one after another. */
import { Random } from "./random.ts";
import { realTurn } from "./realTurn.ts";

/** A rule of the world was broken: what the simulation looks for. */
export class Broken extends Error {
  override readonly name = "Broken";
  readonly rule: string;

  constructor(rule: string, detail: string) {
    super(`${rule}: ${detail}`);
    this.rule = rule;
  }
}

/** Something of a process that the kernel takes away with it. */
export interface Resource {
  processDied(): void;
}

/** A process: what it has scheduled happens only while it lives and is not stopped. */
export class SimProcess {
  readonly name: string;
  readonly host: string;
  alive = true;
  /** SIGSTOP until then. */
  stoppedUntilMs = 0;
  readonly resources = new Set<Resource>();
  readonly #died: (() => void)[] = [];

  constructor(name: string, host: string) {
    this.name = name;
    this.host = host;
  }

  /** SIGKILL, or its own exit. */
  die(): void {
    if (!this.alive) return;
    this.alive = false;
    for (const resource of [...this.resources]) resource.processDied();
    this.resources.clear();
    for (const told of this.#died) told();
  }

  onDeath(told: () => void): void {
    if (this.alive) this.#died.push(told);
    else told();
  }
}

export interface Task {
  atMs: number;
  order: number;
  readonly process: SimProcess;
  run: (() => void) | undefined;
}

/** How many turns of promises follow each event before the next: longer chains go on beside it, the same way each time. */
const TURNS = 12;
/** Between so many events the real loop turns, which is when Node tells of rejections that nobody caught. */
const REAL_TURN_EVERY = 256;

/** The processes outside of both hosts: operators, the network, faults. */
export const OUTSIDE = new SimProcess("outside", "outside");

export class Simulation {
  readonly seed: number;
  nowMs = 0;
  steps = 0;
  current: SimProcess = OUTSIDE;
  /** The first rule that was broken. */
  broken: Broken | undefined;
  readonly #tracer: ((line: string) => void) | undefined;
  readonly #heap: Task[] = [];
  #order = 0;

  constructor(seed: number, tracer?: (line: string) => void) {
    this.seed = seed;
    this.#tracer = tracer;
  }

  random(stream: string): Random {
    return new Random(this.seed, stream);
  }

  get traces(): boolean {
    return this.#tracer !== undefined;
  }

  trace(line: string): void {
    this.#tracer?.(`${this.nowMs.toFixed(3).padStart(12)} ${this.current.name.padEnd(16)} ${line}`);
  }

  /** Kept until the end of the run: the first counts. */
  fail(rule: string, detail: string): void {
    this.broken ??= new Broken(rule, detail);
    this.trace(`BROKEN ${rule}: ${detail}`);
  }

  schedule(delayMs: number, run: () => void, process: SimProcess = this.current): Task {
    const task: Task = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order++, process, run };
    this.#push(task);
    return task;
  }

  cancel(task: Task): void {
    task.run = undefined;
  }

  /** As a process, now. */
  as<T>(process: SimProcess, act: () => T): T {
    const before = this.current;
    this.current = process;
    try {
      return act();
    } finally {
      this.current = before;
    }
  }

  /**
   * Lets events happen until `done`, or nothing is left, or a rule is broken.
   * @param afterEach  looks at the world after each event
   * @returns false when `untilMs` or `stepsMax` came first
   */
  async run(
    done: () => boolean,
    limits: { readonly untilMs: number; readonly stepsMax: number },
    afterEach: () => void,
  ): Promise<boolean> {
    while (this.broken === undefined) {
      if (done()) return true;
      const task = this.#pop();
      if (task === undefined) return done();
      if (task.run === undefined || !task.process.alive) continue;
      if (task.process.stoppedUntilMs > Math.max(task.atMs, this.nowMs)) {
        task.atMs = task.process.stoppedUntilMs;
        this.#push(task);
        continue;
      }
      if (task.atMs > limits.untilMs || this.steps >= limits.stepsMax) return false;
      this.nowMs = Math.max(this.nowMs, task.atMs);
      this.steps++;
      this.current = task.process;
      const { run } = task;
      task.run = undefined;
      try {
        run();
      } catch (error) {
        this.caught(error);
      }
      for (let turn = 0; turn < TURNS; turn++) await undefined;
      if (this.steps % REAL_TURN_EVERY === 0) await realTurn();
      afterEach();
    }
    return false;
  }

  /** What nobody in the world expected. */
  caught(error: unknown): void {
    if (error instanceof Broken) this.broken ??= error;
    else {
      const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
      this.fail("exception", `${this.current.name}: ${name}: ${message}`);
      this.trace(stack ?? "");
    }
  }

  #push(task: Task): void {
    const heap = this.#heap;
    let at = heap.push(task) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(task, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = task;
  }

  #pop(): Task | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || first === last) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function before(a: Task, b: Task): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
