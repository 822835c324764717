/**
 * Runs the whole gate in order: format and lint, types, arrows between modules, then all tests.
 *
 *   node test/run.ts                      everything
 *   node test/run.ts FILE_OR_FOLDER...    only these tests, without the checks
 *
 * Test files run one after another: those with real QEMUs need the cores for themselves, and so there is one summary,
 * node's own, at the end. Exit code 1 when anything failed; every check and test runs all the same.
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, statSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const BIN = join(ROOT, "node_modules", ".bin");
const CHECKS = [
  ["biome", "check", "--error-on-warnings", "."],
  ["tsc", "--noEmit"],
  ["depcruise", "--config", ".dependency-cruiser.cjs", "src", "lab", "bench"],
] as const;
/** In this order: what is quick and near the cause comes first. */
const LAYERS = ["unit", "property", "qemu", "fault", "browser"];

function run(title: string, program: string, args: readonly string[]): boolean {
  console.log(`\n== ${title}`);
  const { status, error } = spawnSync(program, args, { cwd: ROOT, stdio: "inherit" });
  if (error) throw error;
  return status === 0;
}

function testFiles(filters: readonly string[]): string[] {
  const all = LAYERS.flatMap((layer) => globSync(`test/${layer}/**/*.test.ts`, { cwd: ROOT }).sort());
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
const failed = checks.filter(([tool, ...args]) => !run([tool, ...args].join(" "), join(BIN, tool), args));
const testsPass = run(`${files.length} test files`, process.execPath, [
  "--test",
  "--test-concurrency=1",
  ...files,
]);
if (failed.length > 0)
  process.stderr.write(`checks that failed, see above: ${failed.map(([tool]) => tool).join(", ")}\n`);
process.exitCode = failed.length === 0 && testsPass ? 0 : 1;
