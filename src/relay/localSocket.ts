import { execFile } from "node:child_process";
import { chmod, lstat, stat, unlink } from "node:fs/promises";
import net from "node:net";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { GodwitError } from "../errors/mod.ts";

/** sun_path holds 108 bytes with its closing NUL (unix(7)). */
export const UNIX_PATH_BYTES_MAX = 107;

export interface LocalListener {
  readonly path: string;
  /** Stops listening and removes the socket. Connections that were accepted go on. Idempotent. */
  close(): Promise<void>;
}

/**
 * Listens on a unix socket that only its owner may open, unless told otherwise.
 *
 * A path that another process serves is refused; a stale socket, left by a process that was killed, is replaced; any
 * other kind of file is refused and left alone.
 *
 * @param mode  permission bits of the socket, set before the first connection can be accepted
 * @throws GodwitError SOCKET_TAKEN, SOCKET_NOT_ONE, SOCKET_FOLDER_MISSING, USAGE (path too long, unknown group)
 */
export async function listenLocal(
  options: { path: string; mode: number; group?: string | undefined },
  accepted: (socket: net.Socket) => void,
): Promise<LocalListener> {
  const { path } = options;
  await refuseBadPath(path);
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, accepted);
  // bind() creates the socket with the umask's permissions; nobody else may connect before chmod.
  const umask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "EADDRINUSE") throw new GodwitError("SOCKET_TAKEN", { path }, { cause });
    throw new GodwitError("USAGE", { problem: `cannot listen on ${path}: ${code}` }, { cause });
  } finally {
    process.umask(umask);
  }
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= new Promise((resolve) => {
      // Node removes the socket's file when the server closes. Accepted connections keep `close` from calling back.
      server.close();
      resolve();
    });
    return closing;
  };
  try {
    if (options.group !== undefined) await changeGroup(path, options.group);
    await chmod(path, options.mode);
  } catch (error) {
    await close();
    throw error;
  }
  return { path, close };
}

async function refuseBadPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > UNIX_PATH_BYTES_MAX) {
    throw new GodwitError("USAGE", {
      problem: `socket path is longer than ${UNIX_PATH_BYTES_MAX} bytes: ${path}`,
    });
  }
  const folder = await stat(dirname(path)).catch(() => undefined);
  if (!folder?.isDirectory()) throw new GodwitError("SOCKET_FOLDER_MISSING", { path });
  const there = await lstat(path).catch(() => undefined);
  if (there === undefined) return;
  if (!there.isSocket()) throw new GodwitError("SOCKET_NOT_ONE", { path });
  if (await answers(path)) throw new GodwitError("SOCKET_TAKEN", { path });
  await unlink(path);
}

/** Whether a process listens on the socket. Only a refused connection proves that none does. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
  });
}

async function changeGroup(path: string, group: string): Promise<void> {
  try {
    await promisify(execFile)("chgrp", ["--", group, path]);
  } catch (cause) {
    throw new GodwitError("USAGE", { problem: `cannot give ${path} to the group ${group}` }, { cause });
  }
}
