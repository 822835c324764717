import { spawn } from "node:child_process";
import { once } from "node:events";
import type { QemuArtefact } from "../../lab/mod.ts";
import { isGodwitError } from "../../src/errors/mod.ts";
import { type MigrationParameters, postcopyObstacle, Qmp } from "../../src/qemu/mod.ts";

/** What a system would set. */
export interface Trial {
  readonly capabilities: readonly string[];
  readonly parameters: MigrationParameters;
}

/**
 * Lets a QEMU without a machine try each of these settings.
 * @returns for each, in order, QEMU's reason why it cannot; null when it can. Post-copy is tried as a target has it: it
 * needs the right to use userfaultfd
 * Errors: QMP_CLOSED when QEMU does not start.
 */
export async function tryOn(qemu: QemuArtefact, trials: readonly Trial[]): Promise<(string | null)[]> {
  const args = [...qemu.args, "-machine", "none,accel=tcg", "-S", "-nodefaults", "-display", "none"];
  const child = spawn(qemu.binary, [...args, "-qmp", "stdio"], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  exited.catch(() => undefined); // the error of the spawn, which Qmp.open tells as a closed monitor
  try {
    const qmp = await Qmp.open(child.stdout, child.stdin, { name: qemu.binary });
    const known = {
      qemu,
      capabilities: new Set((await qmp.execute("query-migrate-capabilities")).map((c) => c.capability)),
      parameters: new Set(Object.keys(await qmp.execute("query-migrate-parameters"))),
    };
    const answers: (string | null)[] = [];
    for (const trial of trials) answers.push(await attempt(qmp, trial, known));
    if (trials.some(usesPostcopy)) {
      const obstacle = await postcopyObstacle(qemu);
      for (const [index, trial] of trials.entries())
        if (usesPostcopy(trial))
          answers[index] ??= obstacle === null ? null : `no post-copy here: ${obstacle}`;
    }
    await qmp.execute("quit").catch((error: unknown) => {
      // It may be gone before its answer is read.
      if (!isGodwitError(error) || error.code !== "QMP_CLOSED") throw error;
    });
    await exited;
    return answers;
  } finally {
    child.kill("SIGKILL");
  }
}

interface Known {
  readonly qemu: QemuArtefact;
  readonly capabilities: ReadonlySet<string>;
  readonly parameters: ReadonlySet<string>;
}

async function attempt(qmp: Qmp, trial: Trial, known: Known): Promise<string | null> {
  const { version } = known.qemu;
  const capability = trial.capabilities.find((name) => !known.capabilities.has(name));
  if (capability !== undefined) return `QEMU ${version} has no capability ${capability}`;
  const parameter = Object.keys(trial.parameters).find((name) => !known.parameters.has(name));
  if (parameter !== undefined) return `QEMU ${version} has no parameter ${parameter}`;
  const wanted = [...known.capabilities].filter((name) => !name.startsWith("x-"));
  try {
    await qmp.execute("migrate-set-capabilities", {
      capabilities: wanted.map((name) => ({ capability: name, state: trial.capabilities.includes(name) })),
    });
    await qmp.execute("migrate-set-parameters", trial.parameters);
    return null;
  } catch (error) {
    if (!isGodwitError(error) || error.code !== "QMP_ERROR") throw error;
    return `QEMU ${version} refuses: ${error.message}`;
  }
}

function usesPostcopy(trial: Trial): boolean {
  return trial.capabilities.includes("postcopy-ram");
}
