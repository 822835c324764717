import type { FastifyInstance } from "fastify";
import { z } from "zod";
import {
  idParamsSchema,
  migrationAcceptedSchema,
  migrationOrderSchema,
  migrationStatusSchema,
} from "../api.ts";
import { zodApi } from "../http.ts";
import type { Departures } from "./departures.ts";

/** /v1/migrations on the agent's own socket. */
export function apiRoutes(fastify: FastifyInstance, departures: Departures): void {
  const api = zodApi(fastify);
  const tags = ["migrations"];
  const byId = { tags, params: idParamsSchema, response: { 200: migrationStatusSchema } };

  api.post(
    "/v1/migrations",
    {
      schema: {
        tags,
        summary: "Move a VM to another host",
        body: migrationOrderSchema,
        response: { 202: migrationAcceptedSchema },
      },
    },
    async (request, reply) => reply.code(202).send({ id: await departures.begin(request.body) }),
  );
  api.get(
    "/v1/migrations",
    {
      schema: {
        tags,
        summary: "Moves that left since the agent started, newest first",
        response: { 200: z.array(migrationStatusSchema) },
      },
    },
    async () => departures.list(),
  );
  api.get(
    "/v1/migrations/:id",
    { schema: { ...byId, summary: "One move, with its report once ended" } },
    async (request) => departures.status(request.params.id),
  );
  api.post(
    "/v1/migrations/:id/cancel",
    { schema: { ...byId, summary: "Undo it, while that is possible" } },
    async (request) => {
      departures.cancel(request.params.id);
      return departures.status(request.params.id);
    },
  );
  api.post(
    "/v1/migrations/:id/postcopy",
    { schema: { ...byId, summary: "Go to post-copy now" } },
    async (request) => {
      departures.startPostcopy(request.params.id);
      return departures.status(request.params.id);
    },
  );
}
