/** Part of the table of errors (table.ts): certificates, names and tickets. docs/security.md says how each is made and mended. */
import type { AboutError } from "./about.ts";

/** `by`: the name in the certificate of whoever refuses; `who`: what the other one is, as far as that can be told. */
export interface TrustFields {
  TLS_FOLDER: { path: string; problem: string };
  TLS_KEY_OPEN: { path: string; mode: string };
  TLS_NO_CERTIFICATE: { by: string; address: string };
  TLS_UNTRUSTED: { by: string; address: string; who: string; reason: string };
  TLS_EXPIRED: { by: string; address: string; who: string; reason: string };
  TLS_NOT_AUTHORISED: { by: string; address: string; who: string; reason: string };
  TLS_NAME: { by: string; address: string; who: string; expected: string };
  TLS_FAILED: { address: string; reason: string };
  TLS_FILES_EXIST: { path: string };
  TICKET_REFUSED: { address: string };
  TICKET_EXPIRED: { address: string; afterMs: number };
  TICKET_USED: { address: string };
}

const REFUSED = { http: 403, exit: 3, retry: false } as const;

export const ABOUT_TRUST: { readonly [C in keyof TrustFields]: AboutError<TrustFields[C]> } = {
  TLS_FOLDER: {
    http: 500,
    exit: 3,
    retry: false,
    say: (f) => `The TLS folder ${f.path} cannot be used: ${f.problem}`,
    wayOut:
      "It needs ca.pem, cert.pem, key.pem and peers, of one issue: make them with `godwit pki issue`, see them with `godwit pki show DIR`.",
  },
  TLS_KEY_OPEN: {
    http: 500,
    exit: 3,
    retry: false,
    say: (f) => `The key ${f.path} may be read by others than its owner (mode ${f.mode})`,
    wayOut:
      "chmod 600 it. Where others could log in meanwhile, issue a new one: who read it can pose as this host.",
  },
  TLS_NO_CERTIFICATE: {
    ...REFUSED,
    say: (f) => `${f.by} refuses ${f.address}: it showed no certificate`,
    wayOut: "Start both sides with --tls DIR; `godwit pki issue` makes such a folder.",
  },
  TLS_UNTRUSTED: {
    ...REFUSED,
    say: (f) => `${f.by} does not trust the certificate of ${f.address} (${f.who}): ${f.reason}`,
    wayOut: "Both certificates must be signed by an authority in the other side's ca.pem.",
  },
  TLS_EXPIRED: {
    ...REFUSED,
    say: (f) => `The certificate of ${f.address} (${f.who}) does not hold now, says ${f.by}: ${f.reason}`,
    wayOut:
      "Issue a new one with `godwit pki issue`, which needs no restart. If its dates are right, a clock is wrong.",
  },
  TLS_NOT_AUTHORISED: {
    ...REFUSED,
    say: (f) => `${f.by} refuses ${f.who} (${f.address}): ${f.reason}`,
    wayOut:
      "Add the name to the file `peers` in the TLS folder of whoever refuses, if it is meant to be let in.",
  },
  TLS_NAME: {
    ...REFUSED,
    say: (f) => `At ${f.address} is ${f.who}, and ${f.by} expects ${f.expected}`,
    wayOut: "Somebody else answers at that address: check address and routes before you try again.",
  },
  TLS_FAILED: {
    http: 502,
    exit: 3,
    retry: false,
    say: (f) => `No TLS with ${f.address}: ${f.reason}`,
    wayOut: "Start both sides with --tls DIR, and check that nothing in between speaks in the other's place.",
  },
  TLS_FILES_EXIST: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) => `${f.path} is there already`,
    wayOut: "Choose another folder: an authority that is written over cannot sign for its hosts any more.",
  },
  TICKET_REFUSED: {
    ...REFUSED,
    say: (f) => `The target relay refused the ticket of ${f.address}`,
    wayOut: "Start both relays with the same ticket; a ticket is good for one migration.",
  },
  TICKET_EXPIRED: {
    ...REFUSED,
    retry: true,
    say: (f) => `The ticket of ${f.address} is no longer good: it had ${f.afterMs} ms to be used`,
    wayOut: "Migrate again: each order makes a new one. If this recurs, something delays the relays.",
  },
  TICKET_USED: {
    ...REFUSED,
    say: (f) => `The ticket of ${f.address} has been used already`,
    wayOut:
      "A ticket opens one session. If nobody ordered twice, somebody has read it: see docs/security.md.",
  },
};
