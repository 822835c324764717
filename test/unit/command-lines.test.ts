/**
 * Goal: every command of the project, when asked so, says what it takes and does nothing more.
 * Method: each as a process; two of them also with an option that there is not.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "../..");
const COMMANDS = [
  ...["lab/demo", "lab/faults", "lab/soak", "sim", "fuzz", "bench"].map((folder) => `${folder}/main.ts`),
  ...["lab/libvirt/run.ts", "bench/selfcheck.ts"],
  ...["micro", "relay", "paging"].map((name) => `bench/${name}/main.ts`),
];

function run(command: string, flag: string) {
  return spawnSync(process.execPath, [join(ROOT, command), flag], { encoding: "utf8", timeout: 60_000 });
}

for (const command of COMMANDS)
  test(`${command} --help`, () => {
    const { status, stdout, stderr } = run(command, "--help");
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^Usage: npm run [a-z:]+ /);
  });

for (const command of ["sim/main.ts", "bench/relay/main.ts"])
  test(`${command} with an option that there is not`, () => {
    const { status, stderr } = run(command, "--there-is-no-such-option");
    assert.equal(status, 2, stderr);
    assert.match(stderr, /there-is-no-such-option/);
  });
