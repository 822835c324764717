/**
 * Goal: the soak moves a real guest as its seed says, with faults that arrive, tells the truth by its exit code, and leaves
 * nothing.
 * Method: the soak as a user starts it, four moves of a seed that has post-copy with a killed relay, pre-copy with a cut, hybrid, an
 * agent that starts anew and a cancel; after the fourth one byte of its guest is damaged, and the soak has to see that.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { SoakResult } from "../../lab/soak/result.ts";

const MAIN = join(import.meta.dirname, "../../lab/soak/main.ts");
const SEED = 18073;
const MOVES = 4;

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), "gw-soak-test-"));
});
after(() => rmSync(dir, { recursive: true, force: true }));

test("moves with faults: all settled, nothing lost; and a damaged byte is found", () => {
  const file = join(dir, "result.json");
  const args = ["--seed", SEED, "--moves", MOVES, "--break", MOVES, "--ws", 4, "--json", file];
  const temporary = mkdtempSync(join(dir, "t-"));
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args.map(String)], {
    env: { ...process.env, TMPDIR: temporary },
    encoding: "utf8",
  });
  const said = `${stdout}\n${stderr}`;
  const { rows, samples, failure, summary } = JSON.parse(readFileSync(file, "utf8")) as SoakResult;
  assert.equal(rows.length, MOVES - 1, said);
  assert.deepEqual(
    rows.map(({ plan: { order, fault } }) => `${order.strategy} ${fault?.kind}`),
    ["postcopy kill", "precopy cut", "hybrid undefined"],
    "the seed is not what it was: choose another",
  );
  for (const row of rows) assert.deepEqual([row.status, row.equal], ["completed", true], said);
  assert(
    rows.some(({ fault }) => fault === "done"),
    `all faults came too late: ${said}`,
  );
  assert((summary.blackoutMs.all?.most ?? 0) > 0);
  const [held] = samples;
  assert(held !== undefined && held.agents.a.heapBytes > 1e6 && held.agents.b.descriptors > 10);

  assert.equal(failure?.number, MOVES, said);
  assert.match(failure?.what ?? "", /CORRUPT|not what it wrote/, said);
  assert.equal(status, 1, said);
  assert.deepEqual(readdirSync(temporary), [], "files are left");
  assert.deepEqual(processesWith(temporary), [], "processes are left");
});

/** Command lines of processes whose environment names this folder. */
function processesWith(folder: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
        return environment.includes(folder) ? [readFileSync(`/proc/${pid}/cmdline`, "utf8")] : [];
      } catch {
        return []; // ended meanwhile, or another user's
      }
    });
}
