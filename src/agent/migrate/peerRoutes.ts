import type { FastifyInstance } from "fastify";
import { callerOf } from "../caller.ts";
import type { AgentContext } from "../context.ts";
import { zodApi } from "../http.ts";
import type { Arrivals } from "./arrivals.ts";
import { discardSchema, idSchema, prepareSchema, recoverSchema } from "./peerSchemas.ts";

/** /peer/v1: what other agents ask of this one. */
export function peerRoutes(fastify: FastifyInstance, context: AgentContext, arrivals: Arrivals): void {
  const peer = zodApi(fastify);
  const params = idSchema;

  peer.get("/peer/v1/clock", async () => ({ wallMs: context.clock.wallMs() }));

  peer.post("/peer/v1/migrations", { schema: { body: prepareSchema } }, async (request) =>
    arrivals.prepare(request.body, callerOf(request).name),
  );
  // Everything else is about a move that is there.
  peer.addHook("preHandler", async (request) => {
    const { id } = request.params as { id?: unknown };
    const { name, address } = callerOf(request);
    if (typeof id === "string") arrivals.checkOrderer(id, name, address ?? "an unknown address");
  });
  peer.post("/peer/v1/migrations/:id/commit", { schema: { params } }, async (request) => ({
    phase: await arrivals.commit(request.params.id),
  }));
  peer.post(
    "/peer/v1/migrations/:id/discard",
    { schema: { params, body: discardSchema } },
    async (request) => ({
      phase: await arrivals.discard(request.params.id, request.body.error),
    }),
  );
  peer.post("/peer/v1/migrations/:id/recover", { schema: { params, body: recoverSchema } }, async (request) =>
    arrivals.recover(request.params.id, request.body.ticket),
  );
  peer.get("/peer/v1/migrations/:id", { schema: { params } }, async (request) => ({
    phase: arrivals.phase(request.params.id),
  }));
  peer.get("/peer/v1/migrations/:id/facts", { schema: { params } }, async (request) =>
    arrivals.facts(request.params.id),
  );
}
