import type { AgentContext, Migrations } from "../context.ts";
import { apiRoutes } from "./apiRoutes.ts";
import { Arrivals } from "./arrivals.ts";
import { Departures } from "./departures.ts";
import { peerRoutes } from "./peerRoutes.ts";
import { Recoveries } from "./recoveries.ts";
import { recoveryRoutes } from "./recoveryRoutes.ts";
import { settleLeftOver } from "./restart.ts";
import { warmUp } from "./warmUp.ts";

/** The migration half of an agent: moves that leave (API) and arrive (peers). */
export function registerMigrations(context: AgentContext): Migrations {
  const departures = new Departures(context);
  const arrivals = new Arrivals(context);
  const ends = new AbortController();
  const leftOver = settleLeftOver(context, { departures, arrivals }, ends.signal);
  const warm = warmUp(context, ends.signal);
  return {
    api: (fastify) => {
      apiRoutes(fastify, departures);
      recoveryRoutes(fastify, new Recoveries(context, { departures, arrivals }));
    },
    peer: (fastify) => peerRoutes(fastify, context, { departures, arrivals }),
    stop: async () => {
      ends.abort();
      await Promise.all([departures.stop(), arrivals.stop(), leftOver, warm]);
      await context.relays.close();
    },
  };
}
