/**
 * Runs the whole gate in order: format and lint, types, arrows between modules, then all tests.
 *
 *   node test/run.ts                      everything
 *   node test/run.ts FILE_OR_FOLDER...    only these tests, without the checks
 *
 * Two test files run at a time: most of what takes time in them is waiting for guests, links and processes. One summary,
 * node's own, at the end. Exit code 1 when anything failed; every check and test runs all the same.
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { run as runTests } from "node:test";
import { spec } from "node:test/reporters";
import { cacheDir } from "../lab/setup/mod.ts";

const ROOT = join(import.meta.dirname, "..");
const BIN = join(ROOT, "node_modules", ".bin");
const CHECKS = [
  ["biome", "check", "--error-on-warnings", "."],
  ["tsc", "--noEmit"],
  ["depcruise", "--config", ".dependency-cruiser.cjs", "src", "lab", "bench", "sim", "fuzz"],
] as const;
/** In this order: what is quick and near the cause comes first. */
const LAYERS = ["unit", "property", "sim", "qemu", "fault", "browser"];
/** Half a minute and more each: they begin before the rest of what is not quick, so that both lanes end together. */
const LONG: ReadonlySet<string> = new Set([
  "test/sim/seeds.test.ts",
  ...[
    "agent-migrate",
    "bench-loads",
    "bench-run",
    "demo",
    "engine",
    "balloon",
    "bench-homes",
    "agent-vm",
  ].map((name) => `test/qemu/${name}.test.ts`),
  ...["relay-guest", "matrix", "relay-input", "link-cut"].map((name) => `test/fault/${name}.test.ts`),
]);
const QUICK = /^test\/(unit|property)\//;

/** More would make tests wait for each other; on a single core even two do. */
const AT_A_TIME = Math.min(2, availableParallelism());

function check(title: string, program: string, args: readonly string[]): boolean {
  console.log(`\n== ${title}`);
  const { status, error } = spawnSync(program, args, { cwd: ROOT, stdio: "inherit" });
  if (error) throw error;
  return status === 0;
}

function testFiles(filters: readonly string[]): string[] {
  const found = LAYERS.flatMap((layer) => globSync(`test/${layer}/**/*.test.ts`, { cwd: ROOT }).sort());
  const turn = (file: string) => (QUICK.test(file) ? 0 : LONG.has(file) ? 1 : 2);
  const all = found.toSorted((one, other) => turn(one) - turn(other));
  if (filters.length === 0) return all;
  return filters.flatMap((filter) => {
    const path = join(ROOT, filter);
    if (!existsSync(path)) {
      process.stderr.write(`no such test file or folder: ${filter}\n`);
      process.exit(2);
    }
    return statSync(path).isDirectory()
      ? all.filter((file) => join(ROOT, file).startsWith(`${path}/`))
      : [filter];
  });
}

const filters = process.argv.slice(2);
const files = testFiles(filters);
const checks = filters.length === 0 ? CHECKS : [];
const failed = checks.filter(([tool, ...args]) => !check([tool, ...args].join(" "), join(BIN, tool), args));

console.log(`\n== ${files.length} test files, ${AT_A_TIME} at a time`);
// Tests start hundreds of processes of ours. With their compiled code at hand each takes less than half the time.
process.env["NODE_COMPILE_CACHE"] ??= join(cacheDir(), "compiled");
let testsPass = true;
const tests = runTests({ files, cwd: ROOT, concurrency: AT_A_TIME }).on("test:fail", ({ todo }) => {
  if (todo === undefined || todo === false) testsPass = false;
});
for await (const text of tests.compose(new spec())) process.stdout.write(text);

if (failed.length > 0)
  process.stderr.write(`checks that failed, see above: ${failed.map(([tool]) => tool).join(", ")}\n`);
process.exitCode = failed.length === 0 && testsPass ? 0 : 1;
