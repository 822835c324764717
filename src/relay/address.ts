import { GodwitError } from "../errors/mod.ts";

/**
 * HOST:PORT, with an IPv6 host in brackets.
 * @throws GodwitError USAGE
 */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port > 65535)
    throw new GodwitError("USAGE", { problem: `not HOST:PORT (for example 10.0.0.2:4444): ${address}` });
  return { host, port };
}
