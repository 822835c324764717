/** The floor that relays are measured against: processes in C that only copy bytes (copier.c). */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { cachedFolder } from "../../lab/setup/cache.ts";
import { onPath, output } from "../../lab/setup/exec.ts";

const SOURCE = join(import.meta.dirname, "copier.c");

/**
 * The copier's program, compiled when its source changed.
 * @returns its path; null without a C compiler
 * @throws SETUP_FAILED with the compiler's words
 */
export async function copierProgram(): Promise<string | null> {
  const compiler = ["cc", "gcc", "clang"].find(onPath);
  if (compiler === undefined) return null;
  const key = createHash("sha256")
    .update(await readFile(SOURCE))
    .digest("hex");
  const folder = await cachedFolder(`copier-${key.slice(0, 16)}`, async (temporary) => {
    await output(compiler, ["-O2", "-Wall", "-Wextra", "-pthread", "-o", join(temporary, "copier"), SOURCE]);
  });
  return join(folder, "copier");
}

/** One copier; it carries one connection, and stays until it is stopped: what it used can still be read. */
export interface Copier {
  readonly pid: number;
  /** Where it listens, when it was given port 0. */
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * Starts a copier; resolves when it listens.
 * @param program  from `copierProgram`
 * @param listen  a unix path, or a TCP port on loopback; 0: the system chooses
 * @param to  where it connects when it is connected to
 */
export async function startCopier(
  program: string,
  listen: string | number,
  to: string | number,
): Promise<Copier> {
  const address = (at: string | number): string => (typeof at === "string" ? `unix:${at}` : String(at));
  const child = spawn(program, [address(listen), address(to)], { stdio: ["pipe", "pipe", "inherit"] });
  const stop = () => endOf(child);
  const gone = once(child, "close").then(([code, signal]) => {
    throw new Error(`the copier ended with ${code ?? signal}`);
  });
  gone.catch(() => undefined); // at its end that is what it shall do
  try {
    const [line] = (await Promise.race([once(child.stdout, "data"), gone])) as [Buffer];
    return { pid: child.pid!, port: Number(line.toString()), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.stdin!.end();
  await gone;
}
