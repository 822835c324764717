/** Whether a QEMU started from here may catch its guest's page faults: what post-copy needs at the target. */
import { accessSync, constants, existsSync, readFileSync } from "node:fs";

const SYSCTL = "/proc/sys/vm/unprivileged_userfaultfd";
const DEVICE = "/dev/userfaultfd";
/** Number of CAP_SYS_PTRACE (capability.h). */
const SYS_PTRACE = 19n;

/** The three ways to allow it; the kernel documents them in admin-guide/mm/userfaultfd. */
export const USERFAULTFD_WAYS =
  "Any one of: sysctl vm.unprivileged_userfaultfd=1; the capability CAP_SYS_PTRACE, which root has; for QEMU 8 and newer read and write permission on /dev/userfaultfd.";

/** What this host and this process have of them, as a sentence's part, for people. */
export function userfaultfdState(): string {
  const sysctl = readOrNull(SYSCTL);
  if (sysctl === null && !existsSync(DEVICE)) return "this kernel has no userfaultfd";
  const parts = [`vm.unprivileged_userfaultfd is ${sysctl?.trim() ?? "missing"}`];
  if (!existsSync(DEVICE)) parts.push(`${DEVICE} is missing`);
  else parts.push(`${DEVICE} ${mayOpen(DEVICE) ? "may" : "may not"} be opened`);
  parts.push(`CAP_SYS_PTRACE is ${hasPtrace() ? "there" : "missing"}`);
  return parts.join(", ");
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null; // a kernel without it
  }
}

function mayOpen(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function hasPtrace(): boolean {
  const effective = /^CapEff:\s*([\da-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return ((BigInt(`0x${effective}`) >> SYS_PTRACE) & 1n) === 1n;
}
