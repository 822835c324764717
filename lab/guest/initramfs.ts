import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { constants, gzipSync } from "node:zlib";
import { type CpioEntry, CpioType, cpioArchive } from "./cpio.ts";
import type { KernelModule } from "./modules.ts";

const FOLDERS = ["bin", "dev", "proc", "sys", "modules"];

/**
 * The lab guest's initramfs: busybox, the workload program, kernel modules in load order, and an init script.
 *
 * @param options.busybox  a statically linked busybox
 * @param options.workload  the compiled `workload.c`
 * @returns a gzip-compressed newc cpio, the same bytes for the same input
 */
export async function guestInitramfs(options: {
  readonly busybox: string;
  readonly workload: string;
  readonly modules: readonly KernelModule[];
}): Promise<Uint8Array> {
  const program = async (path: string, from: string): Promise<CpioEntry> => {
    return { path, mode: CpioType.file | 0o755, content: await readFile(from) };
  };
  const order = options.modules.map((module) => `/modules/${basename(module.path)}\n`).join("");
  const archive = cpioArchive([
    ...FOLDERS.map((path) => ({ path, mode: CpioType.folder | 0o755 })),
    // the kernel opens it for init before devtmpfs is there
    { path: "dev/console", mode: CpioType.charDevice | 0o600, device: { major: 5, minor: 1 } },
    await program("init", join(import.meta.dirname, "init.sh")),
    await program("bin/busybox", options.busybox),
    await program("workload", options.workload),
    ...(await Promise.all(options.modules.map((m) => program(`modules/${basename(m.path)}`, m.path)))),
    { path: "modules/order", mode: CpioType.file | 0o644, content: Buffer.from(order) },
  ]);
  // the guest unpacks it under TCG: level 6 costs the host less than it saves there
  return gzipSync(archive, { level: constants.Z_DEFAULT_COMPRESSION });
}
