/**
 * Goal: a host where QEMU may not use userfaultfd is refused before anything begins, and says how to allow it.
 * Method: the real QEMU as a user without rights (setpriv); as root, which has them, nothing is in the way.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { doctor } from "../../src/agent/mod.ts";
import { postcopyObstacle } from "../../src/qemu/mod.ts";

const NOBODY = {
  binary: "setpriv",
  args: ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--", "qemu-system-x86_64"],
};

function skipped(): string | false {
  if (process.geteuid?.() !== 0) return "only root can become somebody without rights";
  const open = readFileSync("/proc/sys/vm/unprivileged_userfaultfd", "utf8").trim() === "1";
  return open ? "this host lets everybody use userfaultfd" : false;
}

test("without a right to userfaultfd post-copy is not to be had, and the ways to it are named", {
  skip: skipped(),
}, async () => {
  assert.equal(await postcopyObstacle({ binary: "qemu-system-x86_64", args: [] }), null);
  const obstacle = await postcopyObstacle(NOBODY);
  assert.match(obstacle ?? "", /not supported.*vm\.unprivileged_userfaultfd is 0.*CAP_SYS_PTRACE/s);
  const findings = await doctor({ stateDir: tmpdir(), qemu: NOBODY });
  const postcopy = findings.find(({ what }) => what === "post-copy");
  assert.equal(postcopy?.state, "limited");
  for (const way of [/sysctl vm\.unprivileged_userfaultfd=1/, /CAP_SYS_PTRACE/, /\/dev\/userfaultfd/])
    assert.match(postcopy?.wayOut ?? "", way);
});
