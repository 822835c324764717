/**
 * Set-up proper, under Node 26: the kernels, a QEMU, the lab guest; for the tests and the bench a second QEMU, guests with
 * loads in them, and a browser that makes pictures.
 * Idempotent, says what it does before it does it, and needs no network once everything is there.
 *
 *   node lab/setup/main.ts [--tests] [--bench] [--quiet]
 */
import { mkdir } from "node:fs/promises";
import { parseArgs } from "node:util";
import { buildKernels } from "../../kernels/build.ts";
import { isGodwitError } from "../../src/errors/mod.ts";
import { writeManifest } from "./artefacts.ts";
import { cacheDir } from "./cache.ts";
import { fetchChromium } from "./chromium.ts";
import { say } from "./exec.ts";
import { guestInitrd } from "./guest.ts";
import { guestParts } from "./kernel.ts";
import { loadImages } from "./loads.ts";
import { backportedQemu, systemQemu } from "./qemu.ts";
import { fetchTcpdump } from "./tcpdump.ts";

const { values } = parseArgs({
  options: {
    tests: { type: "boolean", default: false },
    bench: { type: "boolean", default: false },
    quiet: { type: "boolean", default: false },
  },
});

try {
  await mkdir(cacheDir(), { recursive: true });
  if (await buildKernels()) say("compiled the kernels");
  const system = await systemQemu();
  const newer = await backportedQemu({ fetch: values.tests || values.bench });
  if (values.tests || values.bench) await fetchChromium();
  if (values.tests) await fetchTcpdump();
  const { kernel, busybox } = await guestParts();
  const initrd = await guestInitrd(kernel, busybox);
  const loads = await loadImages(initrd, { fetch: values.tests || values.bench });
  const qemus = newer === null ? [system] : [system, newer];
  await writeManifest({ cacheDir: cacheDir(), kernel: kernel.path, initrd, qemus, loads });
  if (!values.quiet) {
    const versions = qemus.map((qemu) => qemu.version).join(" and ");
    say(`ready: QEMU ${versions}, guest kernel ${kernel.version}, cache ${cacheDir()}`);
  }
} catch (error) {
  if (!isGodwitError(error)) throw error;
  say(`${error.message}\n${error.wayOut}`);
  process.exitCode = error.exitCode;
}
