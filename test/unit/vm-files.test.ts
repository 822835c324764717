/**
 * Goal: the folder of a VM that has ended goes away, also while another process still puts files into it: the relay's
 * socket, when a QEMU dies just as its move begins. The agent had ended with an error there.
 * Method: a process that makes files as fast as it can for a moment, in the folder that is removed meanwhile.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { VmEntry } from "../../src/agent/vmEntry.ts";

/** Until the folder is gone, and no longer than the retries. */
const MAKER = `
const fs = require("node:fs");
const endMs = performance.now() + 60;
fs.writeSync(1, "making");
try {
  for (let i = 0; performance.now() < endMs; i++) fs.writeFileSync(process.argv[1] + "/" + i, "");
} catch {}
`;

/** So many that removing them takes longer than making one more. */
const FILES = 1_000;

test("a folder into which files are still being put is removed", async () => {
  const top = mkdtempSync(join(tmpdir(), "gw-files-"));
  try {
    for (let round = 0; round < 4; round++) {
      const dir = join(top, `vm${round}`);
      mkdirSync(dir);
      for (let i = 0; i < FILES; i++) writeFileSync(join(dir, `old${i}`), "");
      const running = { dir, serialPath: null, serialLogPath: null } as never;
      const entry = await VmEntry.open(running, { incoming: false, past: false } as never);
      const maker = spawn(process.execPath, ["-e", MAKER, dir], { stdio: ["ignore", "pipe", "inherit"] });
      const gone = once(maker, "exit");
      await once(maker.stdout, "data");
      entry.removeFiles();
      assert.equal(existsSync(dir), false);
      await gone;
    }
  } finally {
    rmSync(top, { recursive: true, force: true });
  }
});
