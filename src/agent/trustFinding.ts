import type { Tls } from "../trust/mod.ts";
import type { Finding } from "./doctor.ts";

/** So long before its end a certificate is spoken of. */
const SOON_DAYS = 14;
const DAY_MS = 86_400_000;
const WHAT = "connections";

/** How this agent's connections to other hosts are protected, for its doctor. */
export function trustFinding(tls: Tls | null, insecure: boolean, nowMs: number): Finding {
  if (tls !== null) return ofCertificate(tls, nowMs);
  if (!insecure) return { what: WHAT, state: "ok", found: "plain, on loopback only", wayOut: "" };
  return {
    what: WHAT,
    state: "limited",
    found: "plain (--insecure): guest memory can be read and changed by whoever is on the network",
    wayOut: "Start the agents with --tls DIR; `godwit pki issue` makes the folder.",
  };
}

function ofCertificate(tls: Tls, nowMs: number): Finding {
  const { identity, validTo } = tls;
  const days = Math.floor((validTo.getTime() - nowMs) / DAY_MS);
  const found = `TLS 1.3 as ${identity.kind} ${identity.name}, certificate until ${validTo.toISOString()}`;
  if (days >= SOON_DAYS) return { what: WHAT, state: "ok", found, wayOut: "" };
  return {
    what: WHAT,
    state: days < 0 ? "missing" : "limited",
    found,
    wayOut: `\`godwit pki issue host ${identity.name} --ca AUTHORITY --out ${tls.folder}\` renews it, with no restart.`,
  };
}
