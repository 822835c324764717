/**
 * Goal: `virsh migrate` moves a running guest through `godwit relay`, for real: direct, peer to peer, cancelled, and in
 * post-copy.
 * Method: two libvirtds as two hosts in namespaces of their own, the lab guest under stock QEMU; after each move libvirt,
 * both relays and the guest's own oracle are asked. All is taken away again, also on Ctrl-C.
 */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { time } from "../../src/cli/show.ts";
import { isGodwitError } from "../../src/errors/mod.ts";
import { readFlags } from "../commandLine.ts";
import { artefacts } from "../setup/mod.ts";
import { failure, must } from "./command.ts";
import { DOMAIN, domainXml } from "./domain.ts";
import { GuestConsole } from "./guest_console.ts";
import { LibvirtHost } from "./host.ts";
import { CONSOLE, cancelledMove, type Moved, move } from "./moves.ts";
import { checkNeeds } from "./needs.ts";

const MEMORY_MIB = 128;
const BOOT_MS = 120_000;
/** Slow enough to be cancelled in the middle. */
const CANCELLED_MIB_PER_SEC = 4;
/** Slow enough that what one pass leaves, most of the working set, does not fit into QEMU's downtime limit of 300 ms. */
const POSTCOPY_MIB_PER_SEC = 12;

async function main(folder: string, signal: AbortSignal): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const host = async (name: string, qemuUser: "libvirt-qemu" | "root") => {
    const started = await LibvirtHost.start({ name, folder: join(folder, name), qemuUser, signal });
    stack.defer(() => started.close());
    return started;
  };
  const a = await host("host-a", "libvirt-qemu");
  const b = await host("host-b", "root");
  const console = new GuestConsole();
  stack.defer(() => console.close());

  const xml = join(folder, "domain.xml");
  const versions = await must(a.virsh("version"), signal);
  const qemuVersion = /hypervisor: QEMU (\S+)/.exec(versions)?.[1];
  if (qemuVersion === undefined) throw failure(a.virsh("version"), 0, versions);
  say(
    `libvirt ${/library: libvirt (\S+)/.exec(versions)?.[1]} on host-a and host-b, QEMU ${qemuVersion} under TCG`,
  );
  const { kernel, initrd } = shared(folder);
  const guest = { console: CONSOLE, memoryMib: MEMORY_MIB, workload: { setMib: 32 } };
  writeFileSync(xml, domainXml({ kernel, initrd, qemuVersion, ...guest }));
  console.follow(a.outside(CONSOLE));
  await must(a.virsh("create", xml), signal);
  await console.until({ is: (oracle) => oracle.passesOk > 0, host: a.name, withinMs: BOOT_MS, signal });
  say(`the lab guest runs on host-a and has verified its memory once`);

  tell(await move({ name: "direct", from: a, to: b, flags: [], console, signal }));
  tell(await move({ name: "p2p", from: b, to: a, flags: ["--p2p"], console, signal }));

  const slow = ["--bandwidth", String(CANCELLED_MIB_PER_SEC)];
  const cancelled = await cancelledMove({ name: "cancelled", from: a, to: b, flags: slow, console, signal });
  say(`\nvirsh domjobabort in the middle of a move\n  the guest goes on at host-a, memory verified again`);
  say(`  both relays ended with code 4: ${cancelled.error?.message}`);

  const bandwidth = ["--bandwidth", String(POSTCOPY_MIB_PER_SEC)];
  const flags = ["--postcopy", "--postcopy-after-precopy", ...bandwidth];
  const postcopy = await move({ name: "postcopy", from: a, to: b, flags, console, signal });
  tell(postcopy);
  if (!postcopy.lifecycle.includes("Resumed Post-copy"))
    throw failure(["virsh", "event"], 0, `no post-copy among the events: ${postcopy.lifecycle.join(", ")}`);
  say(`\n${DOMAIN}: ${console.oracle.passesOk} verification passes, no difference`);
}

/** The guest's kernel and initramfs where another user's QEMU may read them. */
function shared(folder: string): { kernel: string; initrd: string } {
  const from = artefacts();
  mkdirSync(join(folder, "boot"));
  const copy = (path: string, name: string) => {
    const to = join(folder, "boot", name);
    copyFileSync(path, to);
    chmodSync(to, 0o644);
    return to;
  };
  return { kernel: copy(from.kernel, "kernel"), initrd: copy(from.initrd, "initrd") };
}

function tell({ command, report, lifecycle, blackoutMs }: Moved): void {
  const { zero, raw } = report.pages;
  say(`\n${command.replace(/ --desturi.*/, " ...")}`);
  say(`  relay: ${time(report.totalTimeMs)}, ${zero} zero and ${raw} whole pages, ${report.faults} faults`);
  say(`  memory proven equal at both ends; oracle: two more passes OK; heartbeat gap ${time(blackoutMs)}`);
  say(`  libvirt at the target: ${lifecycle.join(", ")}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

const values = readFlags<{ install?: true }>(
  new Command("npm run lab:libvirt --")
    .description("Moves a running guest by virsh through the relays, on two libvirts of this machine.")
    .option("--install", "install libvirt where it is missing (Debian; asks nothing)")
    .addHelpText("after", "\nExample: npm run lab:libvirt -- --install"),
);
const interrupted = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(name, () => {
    process.exitCode = 128 + constants.signals[name];
    interrupted.abort(new Error(name));
  });
const folder = mkdtempSync(join(tmpdir(), "godwit-libvirt-"));
// At every end, also one that nobody foresaw; the hosts end by themselves when their standard input closes.
process.on("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
chmodSync(folder, 0o711);
try {
  await checkNeeds({ install: values.install === true });
  await main(folder, interrupted.signal);
} catch (error) {
  if (interrupted.signal.aborted) {
    process.stderr.write("interrupted: everything is taken away again\n");
  } else if (isGodwitError(error)) {
    process.stderr.write(`${error.message}\n${error.wayOut}\n`);
    process.exitCode = error.exitCode;
  } else {
    throw error;
  }
}
