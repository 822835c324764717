import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { GodwitError } from "../../src/errors/mod.ts";

/** Says on stderr what set-up is about to do. Standard output is data of whatever runs after it. */
export function say(text: string): void {
  process.stderr.write(`set-up: ${text}\n`);
}

/**
 * Runs a command to its end.
 * @returns its standard output
 * @throws SETUP_FAILED with the end of its output when it cannot start or exits with another code than 0
 */
export async function output(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const stdout: Buffer[] = [];
  const all: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => {
    stdout.push(chunk);
    all.push(chunk);
  });
  child.stderr.on("data", (chunk: Buffer) => all.push(chunk));
  const problem = await new Promise<string | null>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => resolve(code === 0 ? null : `ended with ${code ?? signal}`));
  });
  if (problem !== null) {
    const tail = Buffer.concat(all).toString().trim().split("\n").slice(-8).join("\n");
    throw new GodwitError("SETUP_FAILED", {
      command: [command, ...args].join(" "),
      reason: tail === "" ? problem : `${problem}: ${tail}`,
    });
  }
  return Buffer.concat(stdout).toString();
}

/** Whether `command` is an executable file on the PATH. */
export function onPath(command: string): boolean {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return folders.some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false; // this folder does not have it: the answer, not a failure
    }
  });
}
