/** A small authority of one's own: `godwit pki`. Whoever has a PKI already issues certificates there, with the same URI in them. */
import { randomBytes, webcrypto } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { GodwitError } from "../errors/mod.ts";
import { FILES } from "./folder.ts";
import { type Identity, uriOf } from "./identity.ts";

const CA_KEY = "ca-key.pem";
const CURVE = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNING = { name: "ECDSA", hash: "SHA-256" } as const;
const DAY_MS = 86_400_000;
/** Clocks of hosts differ a little: a new certificate holds at once on all of them. */
const BACKDATED_MS = 5 * 60_000;

/** Loaded here only: it takes 0.25 s, and nothing but these commands needs it. */
async function library() {
  await import("reflect-metadata");
  return import("@peculiar/x509");
}

export interface Authority {
  readonly folder: string;
  readonly name: string;
  /** How long it holds, days. */
  readonly days: number;
}

/**
 * Makes an authority: ca.pem for every host, and ca-key.pem, which never leaves this folder.
 * @throws GodwitError TLS_FILES_EXIST
 */
export async function makeAuthority({ folder, name, days }: Authority): Promise<void> {
  const files = [join(folder, FILES.ca), join(folder, CA_KEY)] as const;
  for (const path of files) if (existsSync(path)) throw new GodwitError("TLS_FILES_EXIST", { path });
  const x509 = await library();
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }],
    keys,
    ...lifetime(days),
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  makePrivate(folder);
  put(files[1], await pemOfKey(keys.privateKey), 0o600);
  put(files[0], `${certificate.toString("pem")}\n`, 0o644);
}

export interface Issue {
  /** Where `makeAuthority` has been. */
  readonly authority: string;
  readonly identity: Identity;
  /** Becomes a TLS folder; one that is there gets new key and certificate, and keeps its `peers`. */
  readonly folder: string;
  readonly days: number;
  /** What `peers` says in a new folder. */
  readonly peers: readonly string[];
  /** For tests of what is out of its time: when it begins to hold. */
  readonly from?: Date;
}

/**
 * Issues a certificate for a host or a person. Whoever uses the folder takes the new files at its next connection.
 * @throws GodwitError TLS_FOLDER when there is no authority, or its key cannot be used
 */
export async function issue(order: Issue): Promise<void> {
  const x509 = await library();
  const { authority, identity, folder, days } = order;
  const ca = readAuthority(authority, FILES.ca);
  // The first signs; others may follow while one authority is being replaced.
  const issuer = new x509.X509Certificate(firstOf(authority, ca));
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [identity.name] }],
    issuer: issuer.subject,
    // Positive, as RFC 5280 4.1.2.2 wants it.
    serialNumber: `7f${randomBytes(15).toString("hex")}`,
    publicKey: keys.publicKey,
    signingKey: await signingKey(authority),
    ...lifetime(days, order.from),
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: uriOf(identity) }]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  makePrivate(folder);
  // The key before its certificate: a reader in between sees that they do not fit, and keeps what it had.
  put(join(folder, FILES.key), await pemOfKey(keys.privateKey), 0o600);
  put(join(folder, FILES.cert), `${certificate.toString("pem")}\n`, 0o644);
  put(join(folder, FILES.ca), ca, 0o644);
  const peers = join(folder, FILES.peers);
  if (!existsSync(peers)) put(peers, `${order.peers.join("\n")}\n`, 0o644);
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(CURVE, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
}

function lifetime(days: number, from = new Date(Date.now() - BACKDATED_MS)) {
  return { notBefore: from, notAfter: new Date(from.getTime() + days * DAY_MS) };
}

async function pemOfKey(key: webcrypto.CryptoKey): Promise<string> {
  const bytes = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key)).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${bytes.replace(/.{64}/g, "$&\n")}\n-----END PRIVATE KEY-----\n`;
}

async function signingKey(authority: string): Promise<webcrypto.CryptoKey> {
  const pem = readAuthority(authority, CA_KEY);
  try {
    const bytes = Buffer.from(pem.replace(/-----[^-]*-----/g, ""), "base64");
    return await webcrypto.subtle.importKey("pkcs8", bytes, CURVE, false, ["sign"]);
  } catch (cause) {
    const problem = `${CA_KEY} holds no key such as \`godwit pki init\` makes`;
    throw new GodwitError("TLS_FOLDER", { path: authority, problem }, { cause });
  }
}

function readAuthority(folder: string, name: string): string {
  try {
    return readFileSync(join(folder, name), "utf8");
  } catch (cause) {
    const problem = `${name} is missing: \`godwit pki init\` makes an authority`;
    throw new GodwitError("TLS_FOLDER", { path: folder, problem }, { cause });
  }
}

function firstOf(folder: string, pem: string): string {
  const first = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(pem)?.[0];
  if (first !== undefined) return first;
  throw new GodwitError("TLS_FOLDER", { path: folder, problem: `${FILES.ca} holds no certificate in PEM` });
}

function makePrivate(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

/** In one step: a reader finds the old file or the new one, whole. */
function put(path: string, text: string, mode: number): void {
  const temporary = `${path}.${process.pid}.new`;
  try {
    writeFileSync(temporary, text, { mode, flag: "wx" });
    chmodSync(temporary, mode); // whatever the umask
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
