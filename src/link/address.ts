import net from "node:net";
import { GodwitError } from "../errors/mod.ts";

/** Whether nothing sent there leaves this host. Of names only "localhost" counts: others are not resolved to decide. */
export function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return net.isIPv4(host) && host.startsWith("127.");
}

/**
 * @param allowed  TLS is used, or the user trusts the network
 * @throws GodwitError LINK_INSECURE when plain TCP would leave this host and that was not allowed
 */
export function refuseInsecure(host: string, port: number, allowed: boolean): void {
  if (!allowed && !isLoopback(host)) throw new GodwitError("LINK_INSECURE", { address: `${host}:${port}` });
}
