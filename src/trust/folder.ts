/** The folder of one host or person: ca.pem, cert.pem, key.pem, peers (docs/security.md, "Certificates and names"). */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { GodwitError } from "../errors/mod.ts";
import { type Identity, identityOf, isName } from "./identity.ts";

export const FILES = { ca: "ca.pem", cert: "cert.pem", key: "key.pem", peers: "peers" } as const;
/** Nothing of these is larger; a wrong path may be a disk. */
const FILE_BYTES_MAX = 1024 * 1024;

/** What a folder held when it was read. */
export interface Papers {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** Names of hosts; null: every host of these authorities. */
  readonly peers: ReadonlySet<string> | null;
  readonly identity: Identity;
  readonly certificate: X509Certificate;
  readonly authorities: readonly X509Certificate[];
}

/**
 * Reads and checks a folder. That its certificate is in its time is not checked here: the clock moves.
 * @throws GodwitError TLS_FOLDER naming the file and what is wrong with it, TLS_KEY_OPEN
 */
export function readFolder(folder: string): Papers {
  const keyPath = join(folder, FILES.key);
  const key = readText(folder, FILES.key);
  const { mode } = statSync(keyPath);
  if ((mode & 0o077) !== 0)
    throw new GodwitError("TLS_KEY_OPEN", {
      path: keyPath,
      mode: (mode & 0o777).toString(8).padStart(4, "0"),
    });
  const cert = readText(folder, FILES.cert);
  const ca = readText(folder, FILES.ca);
  const certificate = certificatesIn(folder, FILES.cert, cert)[0]!;
  const authorities = certificatesIn(folder, FILES.ca, ca);
  if (!certificate.checkPrivateKey(privateKey(folder, key)))
    throw bad(folder, `${FILES.key} is not the key of ${FILES.cert}`);
  const identity = identityOf(certificate);
  if (identity === null)
    throw bad(folder, `${FILES.cert} names no one identity (a URI such as godwit:host:alpha)`);
  const peers = parsePeers(folder, readText(folder, FILES.peers));
  return { ca, cert, key, peers, identity, certificate, authorities };
}

/** Changes whenever a file of the folder was replaced or written; "" while one is missing. Cheap: no file is read. */
export function folderStamp(folder: string): string {
  try {
    return Object.values(FILES)
      .map((name) => {
        const { ino, size, mtimeMs, mode } = statSync(join(folder, name));
        return `${ino} ${size} ${mtimeMs} ${mode}`;
      })
      .join();
  } catch {
    return ""; // reading it says what is missing
  }
}

function readText(folder: string, name: string): string {
  try {
    const path = join(folder, name);
    if (statSync(path).size > FILE_BYTES_MAX) throw bad(folder, `${name} is larger than 1 MiB`);
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof GodwitError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    throw bad(folder, code === "ENOENT" ? `${name} is missing` : `${name} cannot be read: ${code}`, cause);
  }
}

function certificatesIn(folder: string, name: string, text: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw bad(folder, `${name} holds no certificate in PEM`);
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      throw bad(folder, `${name} holds a certificate that cannot be read`, cause);
    }
  });
}

function privateKey(folder: string, text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (cause) {
    throw bad(folder, `${FILES.key} holds no private key in PEM without a passphrase`, cause);
  }
}

/** One name per line; `#` begins a comment. */
function parsePeers(folder: string, text: string): ReadonlySet<string> | null {
  const names = text.split("\n").flatMap((line) => line.replace(/#.*/, "").trim() || []);
  if (names.includes("*")) return null;
  const wrong = names.find((name) => !isName(name));
  if (wrong !== undefined) throw bad(folder, `${FILES.peers} has a line that is no name: ${wrong}`);
  return new Set(names);
}

function bad(folder: string, problem: string, cause?: unknown): GodwitError {
  return new GodwitError("TLS_FOLDER", { path: folder, problem }, { cause });
}
