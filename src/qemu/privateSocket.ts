import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  realpathSync,
  type Stats,
} from "node:fs";
import { connect, type Socket } from "node:net";
import { basename, dirname } from "node:path";
import { GodwitError } from "../errors/mod.ts";

/** Linux's O_PATH (asm-generic/fcntl.h), which node:constants does not have: only to name a folder, not to read it. */
const O_PATH = 0o10_000_000;
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/**
 * Connects to a unix socket that nobody but we, root, or (for a root) its folder's owner can have put there: its folder is ours
 * alone, or every folder on the way belongs to one of these and is closed to writing by others, or is sticky as /tmp is; and the
 * socket is no link. The
 * folder is held open and the socket reached through it (/proc/self/fd, man 5 proc), so that no folder can be exchanged between the
 * look and the connection.
 * @throws GodwitError PATH_UNSAFE naming what is open to whom; and the system's own errors where nothing is there
 */
export async function connectChecked(path: string): Promise<Socket> {
  const folder = realpathSync(dirname(path));
  const fd = openSync(folder, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const stat = fstatSync(fd);
    const trusted = trustedOwners(stat);
    checkSocket(path, lstatSync(`/proc/self/fd/${fd}/${basename(path)}`), stat, trusted);
    checkFolder(path, folder, stat, trusted);
    // A folder that only we can enter is ours wherever it lies.
    const ours = stat.uid === process.geteuid?.() && (stat.mode & 0o077) === 0;
    for (let at = folder; !ours && at !== "/"; ) {
      at = dirname(at);
      checkFolder(path, at, lstatSync(at), trusted);
    }
    return await connected(`/proc/self/fd/${fd}/${basename(path)}`);
  } finally {
    closeSync(fd);
  }
}

function checkFolder(path: string, at: string, { uid, mode }: Stats, trusted: ReadonlySet<number>): void {
  if (!trusted.has(uid)) throw unsafe(path, `the folder ${at} belongs to uid ${uid}`);
  if ((mode & WRITABLE_BY_OTHERS) !== 0 && (mode & STICKY) === 0)
    throw unsafe(path, `others may write to the folder ${at}, and put another socket there`);
}

function checkSocket(path: string, socket: Stats, folder: Stats, trusted: ReadonlySet<number>): void {
  if (!socket.isSocket())
    throw unsafe(path, `it is ${socket.isSymbolicLink() ? "a symbolic link" : "no socket"}`);
  if (
    !trusted.has(socket.uid) ||
    ((folder.mode & STICKY) !== 0 && socket.uid !== process.geteuid?.() && socket.uid !== 0)
  )
    throw unsafe(path, `it belongs to uid ${socket.uid}`);
}

/** QEMU may run as a user of its own below a root: then that user's folder is QEMU's. */
function trustedOwners(folder: Stats): ReadonlySet<number> {
  const self = process.geteuid?.() ?? 0;
  const owners = new Set([0, self]);
  if (self === 0) owners.add(folder.uid);
  const nobody = unmappedOwner();
  if (nobody !== null) owners.add(nobody);
  return owners;
}

/** In a user namespace the system's root is not mapped, and its folders seem to belong to this uid; null outside of one. */
function unmappedOwner(): number | null {
  const [first, outside, count] = readFileSync("/proc/self/uid_map", "utf8").trim().split(/\s+/).map(Number);
  if (first === 0 && outside === 0 && count === 0xffff_ffff) return null;
  return Number(readFileSync("/proc/sys/kernel/overflowuid", "utf8"));
}

function unsafe(path: string, reason: string): GodwitError {
  return new GodwitError("PATH_UNSAFE", { path, reason });
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}
