import type { Namespaces } from "../../lab/host/mod.ts";
import type { LabHost } from "../../lab/mod.ts";
import type { GuestNic, HostName } from "../types.ts";

export type Place = HostName | "client";

export const CLIENT_ADDRESS = "10.84.0.1";
export const GUESTS_MAX = 16;

/** The card of guest `number`, the same on both hosts. */
export function nicOf(number: number): GuestNic {
  const hex = number.toString(16).padStart(2, "0");
  return { ifname: `tap${number}`, mac: `52:54:00:84:00:${hex}`, address: `10.84.0.${10 + number}` };
}

// No spanning tree and no delay before a port forwards; no multicast snooping, which would need a querier.
const BRIDGE = "type bridge stp_state 0 forward_delay 0 mcast_snooping 0";

/** Takes an interface into use without an address of IPv6, whose solicitations would only be noise. */
function up(ifname: string, master?: string): string[] {
  const join = master === undefined ? [] : [`link set ${ifname} master ${master}`];
  return [`link set ${ifname} addrgenmode none`, ...join, `link set ${ifname} up`];
}

/**
 * The network of the guests: on each host a bridge with a tap per guest, both joined to a bridge where the clients are.
 * It has nothing to do with the link between the hosts: no bytes of migration go here, and nothing is shaped.
 */
export function makeGuestNetwork(spaces: Namespaces<Place>, guests: number): LabHost {
  spaces.ip("client", [`link add br0 ${BRIDGE}`, ...up("br0"), `address add ${CLIENT_ADDRESS}/24 dev br0`]);
  const taps = Array.from({ length: guests }, (_, number) => nicOf(number).ifname);
  for (const host of ["a", "b"] as const) {
    spaces.ip(host, [
      `link add br0 ${BRIDGE}`,
      ...up("br0"),
      `link add up0 type veth peer name host-${host} netns ${spaces.id("client")}`,
      ...up("up0", "br0"),
      ...taps.flatMap((tap) => [`tuntap add dev ${tap} mode tap`, ...up(tap, "br0")]),
    ]);
    spaces.ip("client", up(`host-${host}`, "br0"));
  }
  return {
    name: "client",
    address: CLIENT_ADDRESS,
    argv: (command) => spaces.argv("client", command),
  };
}
