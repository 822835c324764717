import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import type { RelayTls } from "../../relay/mod.ts";
import type { AgentContext } from "../context.ts";

/** 256 bits. */
const TICKET_BYTES = 32;
/** How long after the preparation a ticket opens a session. */
export const TICKET_MS = 60_000;

/** The word by which the relays of one move know each other; a recovery gets another. */
export function newTicket(): string {
  return randomBytes(TICKET_BYTES).toString("base64url");
}

/**
 * How a relay of this host protects its link.
 * @param peer  the name of the agent on the other side, which its relay must have, too; null: not known
 */
export function relayTrust(
  { insecure, tls }: Pick<AgentContext, "insecure" | "tls">,
  peer: string | null,
): { readonly insecure: boolean; readonly tls?: RelayTls } {
  if (tls === null) return { insecure };
  return { insecure: false, tls: { folder: resolve(tls.folder), ...(peer !== null && { peer }) } };
}
