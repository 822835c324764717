import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const CHILD = fileURLToPath(new URL("../../relay/child.ts", import.meta.url));
/**
 * How long after the last relay has gone the next spare is made: its 0.1 s of CPU time must not fall into the moment
 * when a guest has just begun to run, nor into the second in which its heartbeat is still listened to.
 */
const REST_MS = 1_500;

/**
 * One relay process that is up before it is needed. Starting one takes 0.1 s of CPU time, which an order would wait for.
 * It serves either side, holds no socket and no guest's bytes, and ends with the agent, also when that is killed (its
 * IPC channel closes).
 */
export class SpareRelay {
  readonly #restMs: number;
  #spare: ChildProcess | null = null;
  #timer: NodeJS.Timeout | undefined;
  #inUse = 0;
  #closed = false;

  constructor(restMs = REST_MS) {
    this.#restMs = restMs;
  }

  /** The pid of the one that waits; null while there is none. */
  get pid(): number | null {
    return this.#spare?.pid ?? null;
  }

  /** One is made after the rest, unless there is one, or relays are at work: they need the processor. */
  makeSoon(): void {
    clearTimeout(this.#timer);
    if (this.#closed || this.#spare !== null || this.#inUse > 0) return;
    this.#timer = setTimeout(() => this.#make(), this.#restMs);
  }

  /** The spare one, else a new one. It is the caller's from now on: it waits for its options, and has to be ended. */
  take(): ChildProcess {
    clearTimeout(this.#timer);
    const spare = this.#spare;
    const child = spare?.connected && spare.exitCode === null ? spare : forkRelay();
    this.#spare = null;
    this.#inUse += 1;
    let gone = false;
    const left = () => {
      if (gone) return;
      gone = true;
      this.#inUse -= 1;
      this.makeSoon();
    };
    child.once("exit", left).once("error", left);
    return child;
  }

  /** Ends the spare one and makes no other. Those that were taken are not touched. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const child = this.#spare;
    this.#spare = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL"); // it has nothing to put in order
    await gone;
  }

  #make(): void {
    if (this.#closed || this.#spare !== null || this.#inUse > 0) return;
    const child = forkRelay();
    this.#spare = child;
    const forget = () => {
      if (this.#spare === child) this.#spare = null;
    };
    child.once("exit", forget).once("error", forget);
  }
}

/** A relay process that waits for its options. A session of its own: a Ctrl-C for the agent is the agent's to obey. */
function forkRelay(): ChildProcess {
  // One heap for all threads: with one for each, glibc keeps some 20 MB more for zstd's threads and gains nothing.
  const env = { ...process.env, MALLOC_ARENA_MAX: "1" };
  return fork(CHILD, [], { detached: true, execArgv: [], env, stdio: ["ignore", "ignore", "pipe", "ipc"] });
}
