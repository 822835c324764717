import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { QemuCommand } from "./probe.ts";

/** What became of the attempt to run a guest under KVM. */
export interface KvmVerdict {
  readonly usable: boolean;
  /** Why not, in one sentence; empty when usable. */
  readonly reason: string;
}

/** SeaBIOS under working KVM is through in a few tenths of a second, also on a busy host. */
const FIRMWARE_MS_MAX = 4_000;
/** SeaBIOS writes its progress to this port, and this line when it found nothing to boot. */
const DEBUG_PORT = 0x402;
const LAST_LINE = "No bootable device";

/**
 * Whether KVM really runs a guest here: a device that opens proves nothing (nested without hardware support it
 * opens, starts and crawls). Tried once per host boot and QEMU: a machine without disks must come through its firmware.
 */
export async function kvmVerdict(qemu: QemuCommand, cacheDir = defaultCacheDir()): Promise<KvmVerdict> {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const key = JSON.stringify([boot, process.geteuid?.(), qemu.binary, qemu.args]);
  const file = join(cacheDir, "kvm.json");
  const known = readCache(file);
  const cached = known[key];
  if (cached !== undefined) return cached;
  const verdict = await tryKvm(qemu);
  // Only this boot's verdicts are of use later.
  const kept = Object.entries(known).filter(([k]) => k.includes(boot));
  mkdirSync(cacheDir, { recursive: true, mode: 0o700 });
  writeFileSync(file, JSON.stringify(Object.fromEntries([...kept, [key, verdict]])), { mode: 0o600 });
  return verdict;
}

function defaultCacheDir(): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "godwit");
}

function readCache(file: string): Record<string, KvmVerdict> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Record<string, KvmVerdict>;
  } catch {
    return {}; // none yet, or cut off while it was written: it is made anew
  }
}

function tryKvm(qemu: QemuCommand): Promise<KvmVerdict> {
  const args = [...qemu.args, "-nodefaults", "-no-user-config", "-display", "none"];
  args.push("-machine", "q35,accel=kvm", "-m", "32", "-chardev", "stdio,id=debug");
  args.push("-device", `isa-debugcon,iobase=${DEBUG_PORT},chardev=debug`);
  const child = spawn(qemu.binary, args, { stdio: ["ignore", "pipe", "pipe"] });
  let seen = "";
  let words = "";
  let verdict: KvmVerdict | null = null;
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString("utf8")).slice(-2000);
  });
  child.stdout.on("data", (chunk: Buffer) => {
    seen = (seen + chunk.toString("latin1")).slice(-4000);
    if (!seen.includes(LAST_LINE)) return;
    verdict ??= { usable: true, reason: "" };
    child.kill("SIGKILL");
  });
  const timer = setTimeout(() => {
    const where = seen === "" ? "never starts" : "does not come through";
    verdict ??= { usable: false, reason: `a guest's firmware ${where} within ${FIRMWARE_MS_MAX} ms` };
    child.kill("SIGKILL");
  }, FIRMWARE_MS_MAX);
  return new Promise((resolve) => {
    const done = (reason: string) => {
      clearTimeout(timer);
      resolve(verdict ?? { usable: false, reason });
    };
    child.once("error", (error) => done(error.message));
    child.once("close", () => done(words.trim().split("\n").at(-1) || "QEMU ended without a word"));
  });
}
