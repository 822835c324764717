import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { type AuditLog, auditVerdictSchema, hashedEntrySchema } from "../audit.ts";
import { zodApi } from "../http.ts";
import { shared } from "../shared.ts";

const querySchema = z.object({
  since: z.iso.datetime({ offset: true }).optional().describe("entries of this time and later"),
  after: z.coerce.number().int().min(0).optional().describe("entries with a larger number"),
  limit: z.coerce.number().int().min(1).max(1000).default(500),
});

/** /v1/audit. There is no route that writes an entry or changes one. */
export function auditRoutes(fastify: FastifyInstance, audit: AuditLog): void {
  const api = zodApi(fastify);
  const tags = ["audit"];
  const verify = shared(() => audit.verify());

  api.get(
    "/v1/audit",
    {
      schema: {
        tags,
        summary: "Who ordered what, and what became of it, oldest first",
        querystring: querySchema,
        response: { 200: z.array(hashedEntrySchema) },
      },
    },
    async (request) => {
      const { since, after, limit } = request.query;
      return audit.list({
        ...(since !== undefined && { sinceMs: Date.parse(since) }),
        ...(after !== undefined && { after }),
        limit,
      });
    },
  );
  api.get(
    "/v1/audit/verdict",
    { schema: { tags, summary: "Whether every hash fits", response: { 200: auditVerdictSchema } } },
    async () => verify(),
  );
}
