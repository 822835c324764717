import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { idParamsSchema, recoveryOrderSchema, recoverySchema } from "../api.ts";
import { zodApi } from "../http.ts";
import type { Recoveries } from "./recoveries.ts";

/** /v1/recoveries: moves that did not settle by themselves. */
export function recoveryRoutes(fastify: FastifyInstance, recoveries: Recoveries): void {
  const api = zodApi(fastify);
  const tags = ["recoveries"];
  const params = idParamsSchema;

  api.get(
    "/v1/recoveries",
    {
      schema: {
        tags,
        summary: "Migrations that are not settled, with the evidence of both hosts and what may be done",
        response: { 200: z.array(recoverySchema) },
      },
    },
    async () => recoveries.list(),
  );
  api.get(
    "/v1/recoveries/:id",
    { schema: { tags, summary: "One of them", params, response: { 200: recoverySchema } } },
    async (request) => recoveries.get(request.params.id),
  );
  api.post(
    "/v1/recoveries/:id",
    {
      schema: {
        tags,
        summary: "Settle it, run the guest here, or give up what is here",
        params,
        body: recoveryOrderSchema,
        response: { 200: recoverySchema },
      },
    },
    async (request) => recoveries.act(request.params.id, request.body),
  );
}
