import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const END_MS = 10_000;
const SCAN_MS = 20;

/**
 * Ends every process whose command line names this folder: QEMUs whose agent is gone.
 * @throws Error when even SIGKILL does not end them
 */
export async function endProcessesOf(dir: string): Promise<void> {
  const untilMs = performance.now() + END_MS;
  for (;;) {
    const found = processesOf(dir);
    if (found.length === 0) return;
    if (performance.now() > untilMs)
      throw new Error(`these processes of ${dir} do not end: ${found.join(", ")}`);
    for (const pid of found) {
      try {
        process.kill(pid, "SIGKILL");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    }
    await sleep(SCAN_MS);
  }
}

function processesOf(dir: string): number[] {
  return readdirSync("/proc")
    .filter(
      (name) => /^\d+$/.test(name) && Number(name) !== process.pid && commandLine(name).includes(`${dir}/`),
    )
    .map(Number);
}

/** Empty for one that has ended meanwhile, and for zombies. */
function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return "";
    throw error;
  }
}
