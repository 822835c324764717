import swagger from "@fastify/swagger";
import type { FastifyInstance } from "fastify";
import { z } from "zod";

/** Describes every route that is registered after it; the description is at GET /v1/openapi.json. */
export async function describeApi(fastify: FastifyInstance, version: string): Promise<void> {
  await fastify.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Godwit agent", version, description: "The API of one host's agent." },
    },
    transform: ({ schema, url }) => ({ schema: schema && (jsonSchemas(schema) as typeof schema), url }),
  });
  fastify.get("/v1/openapi.json", { schema: { hide: true } as object }, async () => fastify.swagger());
}

/** Route schemas are zod (see http.ts); an OpenAPI document wants JSON Schema. */
function jsonSchemas(schema: object): object {
  const parts = Object.entries(schema).map(([part, value]): [string, unknown] => {
    if (part === "response")
      return [
        part,
        Object.fromEntries(Object.entries(value as object).map(([k, v]) => [k, asJson(v, "output")])),
      ];
    return [part, asJson(value, "input")];
  });
  return Object.fromEntries(parts);
}

function asJson(value: unknown, io: "input" | "output"): unknown {
  if (!(value instanceof z.ZodType)) return value;
  const { $schema, ...json } = z.toJSONSchema(value, { io, unrepresentable: "any" });
  return io === "output" ? { description: "Done", ...json } : json;
}
