import { existsSync } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { GodwitError } from "../../src/errors/mod.ts";
import { PrivateApt } from "./apt.ts";
import { cachedFolder } from "./cache.ts";
import { say } from "./exec.ts";

export interface GuestKernel {
  /** A bzImage. */
  readonly path: string;
  readonly version: string;
  /** `lib/modules/VERSION`; null: the drivers must be built in. */
  readonly modules: string | null;
}

/** Kernel and busybox of the lab guest as files; both from Debian packages that are unpacked, not installed. */
export async function guestParts(): Promise<{ kernel: GuestKernel; busybox: string }> {
  const own = process.env["GODWIT_KERNEL"];
  const folder = await cachedFolder(own ? "busybox" : "debian-guest", async (temporary) => {
    const what = own ? "busybox-static" : "the Debian cloud kernel and busybox-static";
    say(`downloading ${what} for the lab guest into the cache (unpacked there, not installed)`);
    const apt = await PrivateApt.open(`${what} (GODWIT_KERNEL names another kernel)`, { backports: false });
    try {
      const names = own ? [] : [await cloudKernelPackage(apt)];
      await apt.unpack([...names, "busybox-static"], temporary);
    } finally {
      await apt.close();
    }
  });
  const busybox = join(folder, "bin", "busybox");
  return { kernel: own ? await ownKernel(resolve(own)) : await unpackedKernel(folder), busybox };
}

async function cloudKernelPackage(apt: PrivateApt): Promise<string> {
  const name = (await apt.dependencies("linux-image-cloud-amd64")).find((n) => n.startsWith("linux-image-"));
  if (name === undefined)
    throw new GodwitError("SETUP_NEEDS", { what: "a kernel for the lab guest (set GODWIT_KERNEL)" });
  return name;
}

async function unpackedKernel(folder: string): Promise<GuestKernel> {
  const file = (await readdir(join(folder, "boot"))).find((name) => name.startsWith("vmlinuz-"))!;
  const version = file.slice("vmlinuz-".length);
  const base = [join(folder, "lib"), join(folder, "usr", "lib")].find((b) => existsSync(join(b, "modules")));
  return {
    path: join(folder, "boot", file),
    version,
    modules: base === undefined ? null : join(base, "modules", version),
  };
}

/** GODWIT_KERNEL: its modules lie beside it (`../lib/modules/VERSION`), on the system, or are built in. */
async function ownKernel(path: string): Promise<GuestKernel> {
  const version = await bzImageVersion(path);
  const places = [join(dirname(path), "..", "lib", "modules", version), join("/lib/modules", version)];
  const modules = places.find((place) => existsSync(place)) ?? null;
  return { path, version, modules };
}

/**
 * The version string of a bzImage (Linux: Documentation/arch/x86/boot.rst, `kernel_version` at 0x20e).
 * @throws SETUP_FAILED when the file cannot be read or is none
 */
async function bzImageVersion(path: string): Promise<string> {
  const refuse = (reason: string): never => {
    throw new GodwitError("SETUP_FAILED", { command: `GODWIT_KERNEL=${path}`, reason });
  };
  const file = await open(path).catch((error: Error) => refuse(error.message));
  try {
    const { buffer } = await file.read(Buffer.alloc(32768), 0, 32768, 0);
    if (buffer.toString("latin1", 0x202, 0x206) !== "HdrS") return refuse("it is not a bzImage");
    const at = buffer.readUInt16LE(0x20e) + 0x200;
    return buffer.toString("latin1", at, at + 128).split(/[ \0]/)[0]!;
  } finally {
    await file.close();
  }
}
