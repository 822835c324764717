/** The runner: plan, samples, result. It knows homes, loads and stages by their interfaces only. */
export { keepPartial, keepResult } from "./keep.ts";
export { type BenchOptions, benchOptions } from "./options.ts";
export { sampleLine } from "./progress.ts";
export { newest } from "./qemu.ts";
export { type Parts, type Run, runBench } from "./run.ts";
