import { spawn } from "node:child_process";
import { join } from "node:path";
import { GodwitError } from "../../src/errors/mod.ts";

/** The CLI of this checkout, as a user starts it. */
export const GODWIT = join(import.meta.dirname, "..", "..", "bin", "godwit");

export interface CommandOptions {
  /** The agent it speaks to. */
  readonly socket: string;
  readonly signal: AbortSignal;
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
}

/**
 * Runs `godwit ARGS` to its end. What it says on stderr, progress among it, is the viewer's to see.
 *
 * It gets a session of its own: a Ctrl-C on the terminal is the demo's to obey, not the command's.
 * @throws the signal's reason when that aborts; COMMAND_FAILED when it cannot start or was killed
 */
export function godwit(args: readonly string[], options: CommandOptions): Promise<CommandResult> {
  const { socket, signal } = options;
  const child = spawn(GODWIT, args, {
    env: { ...process.env, GODWIT_SOCKET: socket },
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
    signal,
  });
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  return new Promise((resolve, reject) => {
    const failed = (reason: string) =>
      reject(
        signal.aborted
          ? signal.reason
          : new GodwitError("COMMAND_FAILED", { command: commandText(args), exitCode: null, reason }),
      );
    child.once("error", (error) => failed(error.message));
    child.once("close", (exitCode, by) =>
      exitCode === null ? failed(`killed by ${by}`) : resolve({ exitCode, stdout }),
    );
  });
}

/** A command as one types it. */
export function commandText(args: readonly string[]): string {
  return ["godwit", ...args].join(" ");
}

/** The result, if the command succeeded. Errors: COMMAND_FAILED with its exit code. */
export function succeeded(args: readonly string[], result: CommandResult): CommandResult {
  const { exitCode } = result;
  if (exitCode === 0) return result;
  throw new GodwitError("COMMAND_FAILED", {
    command: commandText(args),
    exitCode,
    reason: "it says why above",
  });
}
