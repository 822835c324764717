import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { REHEARSE, RELAY_ENVIRONMENT, RELAY_FLAGS } from "../../relay/mod.ts";

const CHILD = fileURLToPath(new URL("../../relay/child.ts", import.meta.url));
/**
 * How long after the last relay has gone the next spare is made: its 0.1 s of CPU time must not fall into the moment
 * when a guest has just begun to run, nor into the second in which its heartbeat is still listened to.
 */
const REST_MS = 1_500;
/** How long after that it rehearses (src/relay/rehearsal.ts), another 0.2 s of CPU time. */
const REHEARSAL_REST_MS = 2_500;

/**
 * One relay process that is up before it is needed, and has rehearsed. Starting one takes 0.1 s of CPU time, which an order
 * would wait for. It serves either side, holds no guest's bytes, and ends with the agent, also when that is killed (its IPC
 * channel closes).
 */
export class SpareRelay {
  readonly #restMs: number;
  readonly #rehearsalRestMs: number;
  readonly #fork: () => ChildProcess;
  #spare: ChildProcess | null = null;
  #timer: NodeJS.Timeout | undefined;
  #inUse = 0;
  #closed = false;

  constructor(restMs = REST_MS, rehearsalRestMs = REHEARSAL_REST_MS, fork = forkRelay) {
    this.#restMs = restMs;
    this.#rehearsalRestMs = rehearsalRestMs;
    this.#fork = fork;
  }

  /** The pid of the one that waits; null while there is none. */
  get pid(): number | null {
    return this.#spare?.pid ?? null;
  }

  /** One is made after the rest, unless there is one, or relays are at work: they need the processor. */
  makeSoon(): void {
    if (this.#closed || this.#spare !== null || this.#inUse > 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#make(), this.#restMs);
  }

  /** The spare one, else a new one. It is the caller's from now on: it waits for its options, and has to be ended. */
  take(): ChildProcess {
    clearTimeout(this.#timer);
    const spare = this.#spare;
    const child = spare?.connected && spare.exitCode === null ? spare : this.#fork();
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
    const child = this.#fork();
    this.#spare = child;
    const forget = () => {
      if (this.#spare !== child) return;
      this.#spare = null;
      clearTimeout(this.#timer);
    };
    child.once("exit", forget).once("error", forget);
    // Taken before, it is not told; taken meanwhile, its options end the rehearsal.
    this.#timer = setTimeout(() => void child.send(REHEARSE), this.#rehearsalRestMs);
  }
}

/** A relay process that waits for its options. A session of its own: a Ctrl-C for the agent is the agent's to obey. */
function forkRelay(): ChildProcess {
  const env = { ...process.env, ...RELAY_ENVIRONMENT };
  const execArgv = [...RELAY_FLAGS];
  return fork(CHILD, [], { detached: true, execArgv, env, stdio: ["ignore", "ignore", "pipe", "ipc"] });
}
