import type { QemuVersion } from "./commands.ts";

/** "7.2.22" */
export function versionText(version: QemuVersion): string {
  const { major, minor, micro } = version.qemu;
  return `${major}.${minor}.${micro}`;
}
