/** Who somebody is, as a certificate says it (docs/adr/0009-trust.md). */
import type { X509Certificate } from "node:crypto";

export const KINDS = ["host", "viewer", "operator", "admin"] as const;
export type Kind = (typeof KINDS)[number];

export interface Identity {
  readonly kind: Kind;
  /** 1..64 of letters, digits, "-", "_", ".". */
  readonly name: string;
}

const NAME = /^[A-Za-z0-9._-]{1,64}$/;
const PREFIX = "godwit:";

/** Whether a certificate may have this name. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

/** As in a certificate: `godwit:host:alpha`. */
export function uriOf({ kind, name }: Identity): string {
  return `${PREFIX}${kind}:${name}`;
}

/** For people: `host alpha`. */
export function describeIdentity({ kind, name }: Identity): string {
  return `${kind} ${name}`;
}

/**
 * Who a certificate says that it is: its one URI in subjectAltName that begins with `godwit:`. Other names may stand beside it.
 * Says nothing about who signed it.
 * @returns null when it has none, several, or one that is malformed
 */
export function identityOf(certificate: Pick<X509Certificate, "subjectAltName">): Identity | null {
  const uris = alternativeNames(certificate.subjectAltName ?? "");
  const ours = uris?.filter((name) => name.startsWith(`URI:${PREFIX}`)) ?? [];
  const match = /^URI:godwit:([a-z]+):(.+)$/.exec(ours.length === 1 ? ours[0]! : "");
  const kind = KINDS.find((known) => known === match?.[1]);
  const name = match?.[2] ?? "";
  return kind !== undefined && isName(name) ? { kind, name } : null;
}

/**
 * Node's text in its parts. A value that holds a comma, a quote or the like stands there as a JSON string, so that no value can
 * pose as several (Node's documentation of `x509.subjectAltName`).
 * @returns null when the text has another form
 */
function alternativeNames(text: string): string[] | null {
  const names: string[] = [];
  const one = /([A-Za-z ]+:)("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;
  while (one.lastIndex < text.length) {
    const match = one.exec(text);
    if (match === null) return null;
    names.push(`${match[1]}${match[2]}`);
  }
  return names;
}
