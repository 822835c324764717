import { spawn } from "node:child_process";
import { GodwitError, isGodwitError } from "../errors/mod.ts";
import type { CpuDefinition, MachineInfo } from "./commands.ts";
import { Qmp } from "./qmp.ts";
import { userfaultfdState } from "./userfaultfd.ts";
import { versionText } from "./version.ts";

/** Which QEMU: the binary and what must be given to it always (such as `-L` and a folder). */
export interface QemuCommand {
  readonly binary: string;
  readonly args: readonly string[];
}

export const DEFAULT_QEMU: QemuCommand = { binary: "qemu-system-x86_64", args: [] };

/** What a QEMU says of itself, without any VM. */
export interface QemuFacts {
  readonly version: string;
  readonly machines: readonly MachineInfo[];
  /** For this accelerator on this host; `unavailable-features` empty means that the model runs here. */
  readonly cpus: readonly CpuDefinition[];
  readonly migrateCapabilities: readonly string[];
  readonly migrateParameters: readonly string[];
}

const facts = new Map<string, Promise<QemuFacts>>();
const EXIT_MS = 5_000;
const ERROR_CHARS_MAX = 2_000;

/**
 * Asks a QEMU what it can do, by running it for a moment without a machine. Once per process and command.
 * Errors: QEMU_MISSING when it cannot be run or ends at once.
 */
export function probeQemu(qemu: QemuCommand, accel: "kvm" | "tcg" = "tcg"): Promise<QemuFacts> {
  const key = JSON.stringify([qemu.binary, qemu.args, accel]);
  let known = facts.get(key);
  if (known === undefined) {
    known = ask(qemu, accel);
    facts.set(key, known);
    known.catch(() => facts.delete(key)); // it may be installed later; the caller gets the error itself
  }
  return known;
}

async function ask(qemu: QemuCommand, accel: "kvm" | "tcg"): Promise<QemuFacts> {
  return withProbe(qemu, ["-machine", `none,accel=${accel}`, "-S"], async (qmp) => ({
    version: versionText(await qmp.execute("query-version")),
    machines: await qmp.execute("query-machines"),
    cpus: await qmp.execute("query-cpu-definitions"),
    migrateCapabilities: (await qmp.execute("query-migrate-capabilities")).map((c) => c.capability),
    migrateParameters: Object.keys(await qmp.execute("query-migrate-parameters")),
  }));
}

/**
 * Whether this QEMU can receive post-copy on this host: null if so, else QEMU's reason and what this host has of
 * userfaultfd, which is most often the cause. Asked of an incoming QEMU, since only that one checks. Errors: QEMU_MISSING.
 */
export function postcopyObstacle(qemu: QemuCommand): Promise<string | null> {
  return withProbe(qemu, ["-machine", "none,accel=tcg", "-S", "-incoming", "defer"], async (qmp) => {
    try {
      await qmp.execute("migrate-set-capabilities", {
        capabilities: [{ capability: "postcopy-ram", state: true }],
      });
      return null;
    } catch (error) {
      if (isGodwitError(error) && error.code === "QMP_ERROR")
        return `${error.message} (${userfaultfdState()})`;
      throw error;
    }
  });
}

/** Runs a QEMU for the time of `use`, with its monitor on stdio. */
async function withProbe<T>(qemu: QemuCommand, machine: string[], use: (qmp: Qmp) => Promise<T>): Promise<T> {
  const args = [
    ...qemu.args,
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    ...machine,
    "-qmp",
    "stdio",
  ];
  const child = spawn(qemu.binary, args, { stdio: ["pipe", "pipe", "pipe"] });
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString("utf8")).slice(-ERROR_CHARS_MAX);
  });
  const exited = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(`it ended with ${signal ?? `status ${code}`}`));
  });
  try {
    const qmp = await Qmp.open(child.stdout, child.stdin, { name: qemu.binary });
    const found = await use(qmp);
    await qmp.execute("quit").catch((error: unknown) => {
      // It may be gone before its answer is read; all that was asked has been answered.
      if (!isGodwitError(error) || error.code !== "QMP_CLOSED") throw error;
    });
    return found;
  } catch (error) {
    child.kill("SIGKILL");
    const reason = words.trim() || (await exited);
    throw new GodwitError("QEMU_MISSING", { binary: qemu.binary, reason }, { cause: error });
  } finally {
    const timer = setTimeout(() => child.kill("SIGKILL"), EXIT_MS);
    await exited;
    clearTimeout(timer);
  }
}

/**
 * The versioned name behind a machine type: "q35" -> "pc-q35-7.2". A target with another QEMU must get the
 * source's version of the type, not its own newest. Errors: MACHINE_UNKNOWN.
 */
export function resolveMachine(known: QemuFacts, machine: string): string {
  const found = known.machines.find((m) => m.name === machine || m.alias === machine);
  if (found === undefined) throw new GodwitError("MACHINE_UNKNOWN", { machine, qemu: known.version });
  return found.name;
}
