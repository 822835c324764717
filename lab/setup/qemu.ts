import { existsSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { GodwitError } from "../../src/errors/mod.ts";
import { debianRelease, installPackages, PrivateApt } from "./apt.ts";
import type { QemuArtefact } from "./artefacts.ts";
import { cacheDir, cachedFolder } from "./cache.ts";
import { onPath, output, say } from "./exec.ts";

const BINARY = "qemu-system-x86_64";
const FOLDER = "qemu-backports";
const OLDEST = [7, 2] as const;

/** The system's QEMU, installed when there is none. */
export async function systemQemu(): Promise<QemuArtefact> {
  if (!onPath(BINARY)) await installPackages(["qemu-system-x86"], "QEMU 7.2 or newer");
  const version = await versionOf(BINARY);
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))
    throw new GodwitError("SETUP_NEEDS", { what: `QEMU 7.2 or newer (${BINARY} is ${version})` });
  return { version, binary: BINARY, args: [] };
}

/**
 * A second QEMU beside the system's, for the tests across versions: bookworm's backport, unpacked in the cache and
 * not installed. Null on any other system, where the tests use what there is.
 *
 * @param options.fetch  false: only when an earlier set-up fetched it
 */
export async function backportedQemu(options: { readonly fetch: boolean }): Promise<QemuArtefact | null> {
  if ((await debianRelease()) !== "bookworm") return null;
  if (!options.fetch && !existsSync(join(cacheDir(), FOLDER))) return null;
  const folder = await cachedFolder(FOLDER, async (temporary) => {
    say("downloading QEMU 10.0 of bookworm-backports into the cache (unpacked there, not installed)");
    const apt = await PrivateApt.open("QEMU 10.0 of bookworm-backports", { backports: true });
    try {
      await apt.unpackWithDependencies("qemu-system-x86", "bookworm-backports", join(temporary, "root"));
    } finally {
      await apt.close();
    }
    await writeWrapper(join(temporary, BINARY));
    await versionOf(join(temporary, BINARY)); // it must start before the folder gets its name
  });
  const binary = join(folder, BINARY);
  return { version: await versionOf(binary), binary, args: firmwareArgs(folder) };
}

/** The unpacked firmware first, the system's for whatever was already as new there. */
function firmwareArgs(folder: string): string[] {
  const folders = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];
  return [...folders.map((path) => join(folder, "root", path)), ...folders.map((path) => `/${path}`)].flatMap(
    (path) => ["-L", path],
  );
}

/** The unpacked program finds its own modules and libraries only when told; `exec` keeps it one process. */
async function writeWrapper(path: string): Promise<void> {
  const script = [
    "#!/bin/sh",
    'root=$(dirname "$(readlink -f "$0")")/root',
    "libraries=$root/usr/lib/x86_64-linux-gnu",
    "export QEMU_MODULE_DIR=$libraries/qemu",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell that expands it
    "export LD_LIBRARY_PATH=$libraries:$libraries/pulseaudio${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}",
    `exec "$root/usr/bin/${BINARY}" "$@"`,
  ];
  await writeFile(path, `${script.join("\n")}\n`);
  await chmod(path, 0o755);
}

async function versionOf(binary: string): Promise<string> {
  const text = await output(binary, ["--version"]);
  const version = /version (\d+\.\d+\.\d+)/.exec(text)?.[1];
  if (version === undefined)
    throw new GodwitError("SETUP_FAILED", { command: `${binary} --version`, reason: `it printed ${text}` });
  return version;
}
