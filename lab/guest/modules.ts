import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";

/** What the lab guest drives: balloon, block and network; the rest comes as their dependencies. */
export const GUEST_MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "virtio_balloon"] as const;

export interface KernelModule {
  readonly name: string;
  /** Path of the .ko or .ko.xz file. */
  readonly path: string;
}

/**
 * The files of `wanted` and everything they depend on, dependencies first.
 * Names that have no file count as built into the kernel. The dependencies are read from the modules themselves
 * (`depends=` in their .modinfo section), because `modules.dep` only exists where the kernel is installed.
 *
 * @param folder  `lib/modules/VERSION`, or null: everything is built in
 */
export async function modulesInOrder(
  folder: string | null,
  wanted: readonly string[],
): Promise<KernelModule[]> {
  if (folder === null || !existsSync(folder)) return [];
  const files = new Map<string, string>();
  for (const file of await readdir(folder, { recursive: true })) {
    const match = /^(.*)\.ko(\.xz)?$/.exec(basename(file));
    if (match) files.set(moduleName(match[1]!), join(folder, file));
  }
  const order = new Map<string, KernelModule>();
  const visit = (name: string): void => {
    const path = files.get(name);
    if (path === undefined || order.has(name)) return;
    for (const dependency of dependenciesOf(path)) visit(dependency);
    order.set(name, { name, path });
  };
  for (const name of wanted) visit(moduleName(name));
  return [...order.values()];
}

function moduleName(text: string): string {
  return text.replaceAll("-", "_");
}

function dependenciesOf(path: string): string[] {
  const bytes = path.endsWith(".xz")
    ? execFileSync("xz", ["-dc", path], { maxBuffer: 64 << 20 })
    : readFileSync(path);
  const at = bytes.indexOf("\0depends=", 0, "latin1");
  if (at < 0) return [];
  const start = at + "\0depends=".length;
  const list = bytes.toString("latin1", start, bytes.indexOf(0, start));
  return list
    .split(",")
    .filter((name) => name !== "")
    .map(moduleName);
}
