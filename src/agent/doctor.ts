import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { freemem } from "node:os";
import { zstdCompressSync } from "node:zlib";
import { z } from "zod";
import { isGodwitError } from "../errors/mod.ts";
import {
  DEFAULT_QEMU,
  kvmVerdict,
  postcopyObstacle,
  probeQemu,
  type QemuCommand,
  USERFAULTFD_WAYS,
} from "../qemu/mod.ts";

/** ok; limited: Godwit works, with less; missing: it does not work until this is mended. */
export const findingSchema = z.object({
  what: z.string(),
  state: z.enum(["ok", "limited", "missing"]),
  found: z.string(),
  wayOut: z.string().describe("how to get it; empty when ok"),
});
export type Finding = z.output<typeof findingSchema>;

const NODE_MAJOR_MIN = 24;
const QEMU_MIN = [7, 2] as const;
const FREE_BYTES_MIN = 2 ** 30;

export interface DoctorOptions {
  readonly stateDir: string;
  readonly qemu?: QemuCommand;
}

/** Looks at what Godwit needs of this host, by trying it where it can be tried. */
export async function doctor(options: {
  readonly stateDir: string;
  readonly qemu?: QemuCommand;
}): Promise<Finding[]> {
  const qemu = options.qemu ?? DEFAULT_QEMU;
  return [
    node(),
    await qemuVersion(qemu),
    await kvm(qemu),
    await postcopy(qemu),
    writable(options.stateDir),
    await disk(options.stateDir),
    memory(),
  ];
}

const ok = (what: string, found: string): Finding => ({ what, state: "ok", found, wayOut: "" });
const limited = (what: string, found: string, wayOut: string): Finding => ({
  what,
  state: "limited",
  found,
  wayOut,
});
const missing = (what: string, found: string, wayOut: string): Finding => ({
  what,
  state: "missing",
  found,
  wayOut,
});

function node(): Finding {
  const { version } = process;
  const fits =
    Number(process.versions.node.split(".")[0]) >= NODE_MAJOR_MIN && typeof zstdCompressSync === "function";
  return fits ? ok("Node", version) : missing("Node", version, `Install Node ${NODE_MAJOR_MIN} or newer.`);
}

async function qemuVersion(qemu: QemuCommand): Promise<Finding> {
  const install = "Install QEMU 7.2 or newer (Debian, Ubuntu: apt-get install qemu-system-x86).";
  try {
    const { version } = await probeQemu(qemu);
    const [major = 0, minor = 0] = version.split(".").map(Number);
    const fits = major > QEMU_MIN[0] || (major === QEMU_MIN[0] && minor >= QEMU_MIN[1]);
    return fits ? ok("QEMU", `${version} (${qemu.binary})`) : missing("QEMU", version, install);
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    return missing("QEMU", error.message, install);
  }
}

async function kvm(qemu: QemuCommand): Promise<Finding> {
  const slow = "Guests run under TCG, which is slow.";
  if (!existsSync("/dev/kvm"))
    return limited(
      "KVM",
      "/dev/kvm is missing",
      `${slow} Enable virtualisation in the firmware and load kvm_intel or kvm_amd.`,
    );
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
  } catch {
    return limited("KVM", "/dev/kvm may not be opened", `${slow} Add this user to the group kvm.`);
  }
  const verdict = await kvmVerdict(qemu);
  if (verdict.usable) return ok("KVM", "runs a guest");
  return limited("KVM", verdict.reason, `${slow} In a VM: enable nested virtualisation on its host.`);
}

async function postcopy(qemu: QemuCommand): Promise<Finding> {
  try {
    const obstacle = await postcopyObstacle(qemu);
    if (obstacle === null) return ok("post-copy", "QEMU may use userfaultfd");
    return limited(
      "post-copy",
      obstacle,
      `VMs cannot arrive here by post-copy or hybrid. ${USERFAULTFD_WAYS}`,
    );
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    return limited("post-copy", error.message, "Mend QEMU first.");
  }
}

function writable(dir: string): Finding {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    accessSync(dir, constants.W_OK | constants.X_OK);
    return ok("state folder", dir);
  } catch (error) {
    return missing(
      "state folder",
      (error as Error).message,
      "Give an agent a --state-dir that it may write to.",
    );
  }
}

async function disk(dir: string): Promise<Finding> {
  if (!existsSync(dir)) return limited("disk space", `${dir} does not exist`, "Mend the state folder first.");
  const { bavail, bsize } = await statfs(dir);
  const found = `${Math.floor((bavail * bsize) / 2 ** 20)} MiB free`;
  if (bavail * bsize >= FREE_BYTES_MIN) return ok("disk space", found);
  return limited("disk space", found, "Free some: histories and console logs of VMs are kept there.");
}

function memory(): Finding {
  const found = `${Math.floor(freemem() / 2 ** 20)} MiB free`;
  if (freemem() >= FREE_BYTES_MIN) return ok("memory", found);
  return limited("memory", found, "A VM needs its whole memory on the host it moves to.");
}
