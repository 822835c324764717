import { constants, lstatSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { GodwitError } from "../errors/mod.ts";

/** `sun_path` has 108 bytes with the final zero (man 7 unix). */
const SOCKET_PATH_BYTES_MAX = 107;

/**
 * Makes (or takes) a folder that only this user can enter: sockets in it are as good as private.
 * Errors: PATH_UNSAFE when it is a link, another's, or open to others.
 */
export function privateDir(path: string): string {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const stat = lstatSync(path);
  const unsafe = (reason: string) => new GodwitError("PATH_UNSAFE", { path, reason });
  if (!stat.isDirectory()) throw unsafe("it is not a folder");
  if (stat.uid !== process.geteuid?.()) throw unsafe("it belongs to another user");
  if ((stat.mode & 0o077) !== 0) throw unsafe("other users may enter it");
  return path;
}

/** The path, if the system takes it for a unix socket. Errors: PATH_TOO_LONG. */
export function socketPath(path: string): string {
  const bytes = Buffer.byteLength(path);
  if (bytes > SOCKET_PATH_BYTES_MAX)
    throw new GodwitError("PATH_TOO_LONG", { path, bytes, bytesMax: SOCKET_PATH_BYTES_MAX });
  return path;
}

/** Opens a log to append to, mode 0600, never through a symbolic link. */
export function openLog(path: string): number {
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;
  return openSync(path, O_APPEND | O_CREAT | O_NOFOLLOW | O_WRONLY, 0o600);
}
