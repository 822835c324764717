import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BenchResult, parseResult } from "../../src/bench/mod.ts";

/** When and of which commit: `2026-11-22T1405-3cc4ad0`, in UTC. */
export function resultName({ startedAt, commit }: BenchResult): string {
  return `${startedAt.slice(0, 16).replace(":", "")}-${commit}`;
}

/**
 * Writes a result in one step, so that nobody ever reads half of one. An older result is never replaced: the second of
 * the same minute gets a number.
 * @returns the file's name without `.json`
 * @throws BENCH_RESULT_INVALID when it is none: a bug of the bench, seen before it is kept
 */
export function keepResult(result: BenchResult, folder: string): string {
  const checked = parseResult(result, "what was measured");
  mkdirSync(folder, { recursive: true });
  const name = resultName(result);
  const free = [name, ...Array.from({ length: 98 }, (_, i) => `${name}-${i + 2}`)].find(
    (candidate) => !existsSync(join(folder, `${candidate}.json`)),
  );
  if (free === undefined) throw new Error(`${folder} is full of results of this minute`);
  write(checked, join(folder, `${free}.json`));
  rmSync(partialPath(result, folder), { force: true });
  return free;
}

/** What there is of a long run, in case that it never ends by itself; `keepResult` takes it away again. */
export function keepPartial(result: BenchResult, folder: string): void {
  mkdirSync(folder, { recursive: true });
  write(result, partialPath(result, folder));
}

function partialPath(result: BenchResult, folder: string): string {
  return join(folder, `${resultName(result)}.partial.json`);
}

function write(result: BenchResult, path: string): void {
  writeFileSync(`${path}.tmp`, `${JSON.stringify(result, null, 1)}\n`);
  renameSync(`${path}.tmp`, path);
}
