/** Identities, certificates and who is authorised: docs/adr/0009-trust.md. */

export { ANY_HOST, type Expected } from "./expected.ts";
export { FILES, type Papers, readFolder } from "./folder.ts";
export { describeIdentity, type Identity, identityOf, isName, KINDS, type Kind } from "./identity.ts";
export { openTls } from "./open.ts";
export { type Authority, type Issue, issue, makeAuthority } from "./pki.ts";
export type { OnRefused, Refused } from "./refused.ts";
export type { Tls } from "./tls.ts";
