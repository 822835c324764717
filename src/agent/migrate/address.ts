/** HOST:PORT in its parts; an IPv6 host keeps its brackets. The shape was checked where it came in. */
export function splitAddress(address: string): { readonly host: string; readonly port: string } {
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon), port: address.slice(colon + 1) };
}
