import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Report } from "../../src/migration/mod.ts";
import { failure } from "./command.ts";
import type { LibvirtHost } from "./host.ts";

const GODWIT = join(import.meta.dirname, "../../bin/godwit");

/** `godwit relay` on one host, as a user starts it. */
export interface Relay {
  /** HOST:PORT or the socket's path. */
  readonly address: string;
  /** Its exit code and report, once it has carried its migration. */
  readonly ended: Promise<{ readonly exitCode: number | null; readonly report: Report | null }>;
  /** Everything it has said. */
  said(): string;
}

export interface RelayPair {
  readonly source: Relay;
  readonly target: Relay;
}

/** Both relays of a move, target first. They end with their migration, or with their host. */
export async function startRelays(
  from: LibvirtHost,
  to: LibvirtHost,
  socket: string,
  move: string,
): Promise<RelayPair> {
  const unix = `unix:${socket}`;
  const target = await start(to, "target", move, ["--listen", "127.0.0.1:0", "--forward", unix]);
  const source = await start(from, "source", move, ["--listen", unix, "--to", target.address]);
  return { source, target };
}

function start(host: LibvirtHost, side: string, move: string, flags: readonly string[]): Promise<Relay> {
  const report = join(host.folder, `${move}-${side}.json`);
  const command = ["godwit", "relay", side, ...flags];
  const [program, ...args] = host.argv([GODWIT, "relay", side, ...flags, "--report", report]);
  const child = spawn(program!, args, { stdio: ["ignore", "ignore", "pipe"], detached: true });
  let said = "";
  const ended = endOf(child).then((exitCode) => ({ exitCode, report: readReport(report) }));
  return new Promise((resolve, reject) => {
    child.once("error", (error) => reject(failure(command, null, error.message)));
    child.once("close", (exitCode) => reject(failure(command, exitCode, said.trim())));
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      const address = /listening on (\S+)\n/.exec(said)?.[1];
      if (address !== undefined) resolve({ address, ended, said: () => said });
    });
  });
}

function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once("close", resolve));
}

function readReport(path: string): Report | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Report;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return null; // it carried nothing
  }
}
