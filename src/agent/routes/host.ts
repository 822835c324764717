import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { GodwitError } from "../../errors/mod.ts";
import { type HostBody, historyQuerySchema, hostBodySchema, idParamsSchema } from "../api.ts";
import type { History } from "../context.ts";
import { type Finding, findingSchema } from "../doctor.ts";
import { zodApi } from "../http.ts";

export interface HostRoutesOptions {
  readonly about: () => HostBody;
  readonly doctor: () => Promise<Finding[]>;
  readonly history: History;
}

/** /v1/host, /v1/doctor and /v1/history. */
export function hostRoutes(fastify: FastifyInstance, options: HostRoutesOptions): void {
  const api = zodApi(fastify);
  const { history } = options;
  const report = z.looseObject({});

  api.get(
    "/v1/host",
    { schema: { tags: ["host"], summary: "This agent", response: { 200: hostBodySchema } } },
    async () => options.about(),
  );

  api.get(
    "/v1/doctor",
    {
      schema: { tags: ["host"], summary: "What this host can do", response: { 200: z.array(findingSchema) } },
    },
    async () => options.doctor(),
  );

  api.get(
    "/v1/history",
    {
      schema: {
        tags: ["history"],
        summary: "Reports of ended migrations, newest first",
        querystring: historyQuerySchema,
        response: { 200: z.array(report) },
      },
    },
    async (request) => {
      const { vm, limit } = request.query;
      return history.list<Record<string, unknown>>("report", { limit, ...(vm !== undefined && { vm }) });
    },
  );

  api.get(
    "/v1/history/:id",
    {
      schema: { tags: ["history"], summary: "One report", params: idParamsSchema, response: { 200: report } },
    },
    async (request) => {
      const { id } = request.params;
      const found = history.get<Record<string, unknown>>("report", id);
      if (found === null) throw new GodwitError("MIGRATION_UNKNOWN", { id, host: options.about().host });
      return found;
    },
  );
}
