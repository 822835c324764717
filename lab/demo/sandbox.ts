import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const SCAN_MS = 50;
const END_MS = 10_000;

export interface Stray {
  readonly pid: number;
  readonly command: string;
}

/**
 * Everything a demo, bench or soak leaves on this host is in one temporary folder, and every process that this one starts
 * from now on, or that those start (agents, relays, QEMUs in sessions of their own), inherits the folder's name in its
 * environment. So all of them can be found again, whoever started them and however far they got.
 */
export class Sandbox {
  readonly dir: string;
  readonly #mark: string;
  readonly #lastResort = () => this.#endNow();

  /** @param name  for the folder and the mark: two kinds of sandboxes do not take each other's processes */
  constructor(name: "demo" | "bench" | "soak" | "faults" = "demo") {
    const mark = `GODWIT_${name.toUpperCase()}`;
    this.dir = mkdtempSync(join(tmpdir(), `godwit-${name}-`));
    process.env[mark] = this.dir;
    this.#mark = `${mark}=${this.dir}\0`;
    process.on("exit", this.#lastResort);
  }

  /**
   * Ends every process that still carries the mark and removes the folder.
   * @returns what had to be ended; after an orderly end that is nothing
   * @throws Error naming the processes that even SIGKILL does not end
   */
  async close(): Promise<readonly Stray[]> {
    const ended = new Map<number, Stray>();
    const untilMs = performance.now() + END_MS;
    // Twice nothing: a process is not seen for the moment in which it becomes another program.
    for (let quietScans = 0; quietScans < 2; await sleep(SCAN_MS)) {
      const found = this.processes();
      quietScans = found.length === 0 ? quietScans + 1 : 0;
      for (const stray of found) {
        ended.set(stray.pid, stray);
        kill(stray.pid);
      }
      if (found.length > 0 && performance.now() > untilMs) {
        const names = found.map(({ pid, command }) => `${pid} (${command})`).join(", ");
        throw new Error(`these processes do not end: ${names}; files are left in ${this.dir}`);
      }
    }
    rmSync(this.dir, { recursive: true, force: true });
    process.off("exit", this.#lastResort);
    return [...ended.values()];
  }

  /** Processes that run and carry the mark. */
  processes(): Stray[] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .filter((pid) => `${procFile(pid, "environ")}\0`.includes(this.#mark))
      .map((pid) => ({ pid: Number(pid), command: procFile(pid, "cmdline").split("\0")[0] ?? "" }));
  }

  /** For an end that nobody foresaw: nothing can be waited for any more. */
  #endNow(): void {
    for (const { pid } of this.processes()) kill(pid);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Empty for a process that has ended meanwhile, a zombie, or another user's. */
function procFile(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
