import type { FastifyInstance } from "fastify";
import { callerOf } from "../caller.ts";
import type { AgentContext } from "../context.ts";
import { zodApi } from "../http.ts";
import { splitAddress } from "./address.ts";
import type { Arrivals } from "./arrivals.ts";
import type { Departures } from "./departures.ts";
import { discardSchema, idSchema, type PrepareOrder, prepareSchema, recoverSchema } from "./peerSchemas.ts";
import { seeArrival, seeDeparture } from "./seen.ts";

/** /peer/v1: what other agents ask of this one. */
export function peerRoutes(
  fastify: FastifyInstance,
  context: AgentContext,
  { arrivals, departures }: { readonly arrivals: Arrivals; readonly departures: Departures },
): void {
  const peer = zodApi(fastify);
  const params = idSchema;

  peer.get("/peer/v1/clock", async () => ({ wallMs: context.clock.wallMs() }));

  peer.post("/peer/v1/migrations", { schema: { body: prepareSchema } }, async (request) =>
    arrivals.prepare(seenFromHere(request.body, callerOf(request).address), callerOf(request).name),
  );
  // Everything else is about a move that is there.
  peer.addHook("preHandler", async (request) => {
    const { id } = request.params as { id?: unknown };
    const { name, address } = callerOf(request);
    if (typeof id === "string") arrivals.checkOrderer(id, name, address ?? "an unknown address");
  });
  peer.post("/peer/v1/migrations/:id/commit", { schema: { params } }, async (request) =>
    arrivals.commit(request.params.id),
  );
  peer.post("/peer/v1/migrations/:id/discard", { schema: { params, body: discardSchema } }, async (request) =>
    arrivals.discard(request.params.id, request.body.error),
  );
  peer.post("/peer/v1/migrations/:id/recover", { schema: { params, body: recoverSchema } }, async (request) =>
    arrivals.recover(request.params.id, request.body.ticket),
  );
  peer.get("/peer/v1/migrations/:id", { schema: { params } }, async (request) =>
    arrivals.word(request.params.id),
  );
  peer.get("/peer/v1/migrations/:id/seen", { schema: { params } }, async (request) =>
    seeArrival(context, arrivals, request.params.id),
  );
  peer.get("/peer/v1/departures/:id/seen", { schema: { params } }, async (request) =>
    seeDeparture(context, departures, request.params.id),
  );
  peer.get("/peer/v1/migrations/:id/facts", { schema: { params } }, async (request) =>
    arrivals.facts(request.params.id),
  );
}

/** An agent that listens at every address does not know by which of them it is reached; we do. */
function seenFromHere(order: PrepareOrder, from: string | null): PrepareOrder {
  if (!order.sourcePeer || from === null) return order;
  const { host, port } = splitAddress(order.sourcePeer);
  if (host !== "0.0.0.0" && host !== "[::]") return order;
  return { ...order, sourcePeer: `${from.includes(":") ? `[${from}]` : from}:${port}` };
}
