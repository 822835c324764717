import { createHash } from "node:crypto";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { GUEST_MODULES, guestInitramfs, modulesInOrder } from "../guest/mod.ts";
import { installPackages } from "./apt.ts";
import { cachedFolder } from "./cache.ts";
import { onPath, output, say } from "./exec.ts";
import type { GuestKernel } from "./kernel.ts";

const SOURCES = join(import.meta.dirname, "..", "guest");

/** The lab guest's initramfs, built when its sources, its kernel or busybox changed. Returns its path. */
export async function guestInitrd(kernel: GuestKernel, busybox: string): Promise<string> {
  const key = await inputsKey([kernel.path, busybox], kernel);
  const folder = await cachedFolder(`guest-${key}`, async (temporary) => {
    const modules = await modulesInOrder(kernel.modules, GUEST_MODULES);
    const drivers = modules.length > 0 ? `${modules.length} modules` : "its drivers taken as built in";
    say(`building the lab guest: kernel ${kernel.version}, ${drivers}`);
    const workload = join(temporary, "workload");
    await compileStatic([join(SOURCES, "workload.c")], workload);
    await writeFile(join(temporary, "initrd"), await guestInitramfs({ busybox, workload, modules }));
  });
  return join(folder, "initrd");
}

/**
 * Compiles a program for the lab guest, which has no C library; installs a compiler when there is none.
 * @param inputs  sources, and whatever else the compiler takes
 */
export async function compileStatic(inputs: readonly string[], to: string): Promise<void> {
  const args = ["-O2", "-Wall", "-Wextra", "-static", "-s", "-o", to, ...inputs];
  const compiler = ["cc", "gcc"].find(onPath);
  if (compiler !== undefined) {
    try {
      await output(compiler, args);
      return;
    } catch (error) {
      // a compiler without the static C library looks just like this; with it the second attempt tells the truth
      say(`${compiler} could not build the guest's program: ${(error as Error).message}`);
    }
  }
  await installPackages(["gcc", "libc6-dev"], "a C compiler for the lab guest's program");
  await output("gcc", args);
}

/** Sources by content; kernel and busybox by path, size and time, for they are large. */
async function inputsKey(files: readonly string[], kernel: GuestKernel): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([kernel.version, kernel.modules]));
  for (const name of (await readdir(SOURCES)).sort())
    if (/\.(c|sh|ts)$/.test(name)) hash.update(`${name}\n`).update(await readFile(join(SOURCES, name)));
  for (const file of files) {
    const { size, mtimeMs } = await stat(file);
    hash.update(`${file} ${size} ${mtimeMs}\n`);
  }
  return hash.digest("hex").slice(0, 16);
}
