import type { ClientName } from "./messages.ts";

/** How many connections a client has, and how many requests a second all of them send at most. */
export const RATES: Readonly<
  Record<ClientName, { readonly connections: number; readonly perSecond: number }>
> = {
  redis: { connections: 8, perSecond: 100 },
  nginx: { connections: 4, perSecond: 40 },
};
