/** Identities, certificates and who is authorised: docs/adr/0009-trust.md. */
export { type Identity, KINDS, type Kind } from "./identity.ts";
export type { OnRefused, Refused } from "./refused.ts";
