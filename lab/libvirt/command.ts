import { spawn } from "node:child_process";
import { GodwitError } from "../../src/errors/mod.ts";

export interface Ended {
  /** Null: ended by a signal. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a command to its end, whatever that is. In a session of its own: a Ctrl-C on the terminal is not for it.
 * @throws the signal's reason when that aborts; COMMAND_FAILED when it cannot start
 */
export function run(command: readonly string[], signal: AbortSignal): Promise<Ended> {
  signal.throwIfAborted();
  const [program, ...args] = command;
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "pipe"], detached: true, signal });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once("error", (error) =>
      reject(signal.aborted ? signal.reason : failure(command, null, error.message)),
    );
    child.once("close", (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
}

/**
 * Runs a command that has to succeed.
 * @returns its standard output
 * @throws COMMAND_FAILED with what it said
 */
export async function must(command: readonly string[], signal: AbortSignal): Promise<string> {
  const { exitCode, stdout, stderr } = await run(command, signal);
  if (exitCode !== 0) throw failure(command, exitCode, stderr.trim() || "it says nothing");
  return stdout;
}

/** A command that did not do what it is there for. */
export function failure(command: readonly string[], exitCode: number | null, reason: string): GodwitError {
  return new GodwitError("COMMAND_FAILED", { command: command.join(" "), exitCode, reason });
}
