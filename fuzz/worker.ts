/** A thread that fuzzes one surface. What it is at stands in shared memory: whoever watches can say what it hung or died on. */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parentPort, workerData } from "node:worker_threads";
import { run } from "./run.ts";
import { surfaceOf } from "./surfaces/mod.ts";
import type { WatchedWork } from "./watch.ts";

const work = workerData as WatchedWork;
const state = new Int32Array(work.state);
const input = new Uint8Array(work.input);
// The first field of a thread's own stat is its id.
state[2] = Number(readFileSync("/proc/thread-self/stat", "utf8").split(" ")[0]);

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
/** Of JavaScript and of what lies beside it, after a collection; WASM's memory is of a fixed size. */
function heldBytes(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Memory is looked at when everything is warm, and at the end. */
const warmAt = work.from + Math.floor((work.inputs - work.from) / 5);
let warmBytes = 0;
const result = run(surfaceOf(work.surface), {
  ...work,
  before(index, bytes) {
    if (index === warmAt && warmBytes === 0) warmBytes = heldBytes();
    input.set(bytes.subarray(0, input.length));
    Atomics.store(state, 1, Math.min(bytes.length, input.length));
    Atomics.store(state, 0, index);
    Atomics.add(state, 3, 1);
  },
});
parentPort!.postMessage({ ...result, grownBytes: heldBytes() - warmBytes });
