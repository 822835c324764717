/** Runs a surface in a thread of its own, and says so when an input hangs it or ends it. */
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import type { RunResult } from "./run.ts";

export interface WatchedWork {
  readonly surface: string;
  readonly inputs: number;
  readonly seed: number;
  readonly from: number;
  readonly guided: number;
  /** i32: number of the input, its length, the thread's id, how many were begun. */
  readonly state: SharedArrayBuffer;
  readonly input: SharedArrayBuffer;
}

export interface WatchedResult extends RunResult {
  /** CPU time of the threads, s. */
  readonly cpuSec: number;
}

const INPUT_BYTES_MAX = 512 * 1024;
/** CPU time of one input, that is: on a busy machine a thread may get none for seconds. */
const HANG_MS = 1000;
const LOOK_MS = 250;
/** Each costs a new thread: who has so many has enough to do. */
const DEATHS_MAX = 10;
/** Kept beside what the corpus takes. */
const GROWTH_BYTES_MAX = 64 * 2 ** 20;
const HEAP_MB = 512;
/** Of Linux's USER_HZ, 100 on every machine that Godwit knows. */
const TICK_MS = 10;

/** @param told  how far it is, now and then */
export async function watched(
  options: {
    readonly surface: string;
    readonly inputs: number;
    readonly seed: number;
    readonly guided: number;
  },
  told: (done: number) => void,
): Promise<WatchedResult> {
  const findings: { input: Uint8Array; what: string }[] = [];
  const sum = { inputs: 0, accepted: 0, rejected: 0, blocks: 0, corpus: 0, cpuSec: 0 };
  for (let from = 0; from < options.inputs; ) {
    const end = await once({ ...options, from }, told);
    sum.cpuSec += end.cpuSec;
    if (end.result === undefined) {
      findings.push({ input: end.input, what: end.what });
      sum.inputs += end.at + 1 - from;
      from = end.at + 1;
      if (findings.length === DEATHS_MAX) break;
      continue;
    }
    const { result } = end;
    sum.inputs += result.inputs;
    sum.accepted += result.accepted;
    sum.rejected += result.rejected;
    sum.blocks = Math.max(sum.blocks, result.blocks);
    sum.corpus = Math.max(sum.corpus, result.corpus);
    findings.push(...result.findings);
    if (result.grownBytes > GROWTH_BYTES_MAX)
      findings.push({ input: new Uint8Array(0), what: `memory grew by ${result.grownBytes} bytes` });
    break;
  }
  return { ...sum, findings };
}

type Ended =
  | { readonly result: RunResult & { grownBytes: number }; readonly cpuSec: number }
  | { readonly result: undefined; input: Uint8Array; what: string; at: number; readonly cpuSec: number };

function once(options: Omit<WatchedWork, "state" | "input">, told: (done: number) => void): Promise<Ended> {
  const work: WatchedWork = {
    ...options,
    state: new SharedArrayBuffer(16),
    input: new SharedArrayBuffer(INPUT_BYTES_MAX),
  };
  const state = new Int32Array(work.state);
  const worker = new Worker(new URL("./worker.ts", import.meta.url), {
    workerData: work,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  const { promise, resolve } = Promise.withResolvers<Ended>();
  let last = { begun: 0, cpuMs: 0 };
  let cpuMs = 0;
  const died = (what: string) => {
    const input = new Uint8Array(work.input).slice(0, Atomics.load(state, 1));
    resolve({ result: undefined, input, what, at: Atomics.load(state, 0), cpuSec: cpuMs / 1000 });
  };
  const timer = setInterval(() => {
    cpuMs = cpuOf(Atomics.load(state, 2)) ?? cpuMs;
    const begun = Atomics.load(state, 3);
    told(Atomics.load(state, 0));
    // Before the first there is the code to be loaded.
    if (begun === 0 || begun !== last.begun) last = { begun, cpuMs };
    else if (cpuMs - last.cpuMs > HANG_MS) {
      died(`hangs: more than ${HANG_MS} ms of CPU time`);
      void worker.terminate();
    }
  }, LOOK_MS);
  worker.on("message", (result) => resolve({ result, cpuSec: cpuMs / 1000 }));
  worker.on("error", (error: unknown) => died(`ends the thread: ${String(error)}`));
  worker.on("exit", (code) => died(`ends the thread with ${code}`));
  return promise.finally(() => clearInterval(timer));
}

/** CPU time of a thread of this process, ms. */
function cpuOf(thread: number): number | undefined {
  if (thread === 0) return undefined;
  try {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return TICK_MS * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return undefined; // it has ended
  }
}
