import type { IncomingMessage, Server, ServerResponse } from "node:http";
import fastifyFactory, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifySchemaCompiler,
  type FastifyTypeProvider,
  LogController,
} from "fastify";
import type { Logger } from "pino";
import type { z } from "zod";
import { ABOUT, GodwitError, isGodwitError, type WireError } from "../errors/mod.ts";

interface ZodTypes extends FastifyTypeProvider {
  validator: this["schema"] extends z.ZodType ? z.output<this["schema"]> : unknown;
  serializer: this["schema"] extends z.ZodType ? z.input<this["schema"]> : unknown;
}

/** A fastify whose route schemas are zod: bodies, params and queries arrive checked and typed. */
export type ZodApi = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypes>;

/** Sees a plain fastify (as `Migrations.api` gets it) as one with zod schemas; every server of the agent is one. */
export function zodApi(fastify: FastifyInstance): ZodApi {
  return fastify.withTypeProvider<ZodTypes>();
}

const BODY_BYTES_MAX = 1024 * 1024;
const validate: FastifySchemaCompiler<z.ZodType> = ({ schema, httpPart }) => {
  return (data: unknown) => {
    const result = schema.safeParse(data);
    if (result.success) return { value: result.data };
    const problem = result.error.issues
      .map((i) => `${i.path.join(".") || httpPart || "body"}: ${i.message}`)
      .join("; ");
    return { error: new GodwitError("USAGE", { problem }) };
  };
};

/** A server whose failures all have the one shape `{error: {code, fields, message}}`. */
export function makeHttp(log: Logger): FastifyInstance {
  const fastify = fastifyFactory({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_BYTES_MAX,
    forceCloseConnections: true, // event streams never end by themselves
  });
  fastify.setValidatorCompiler(validate as FastifySchemaCompiler<unknown>);
  fastify.setSerializerCompiler(() => (data) => JSON.stringify(data));
  fastify.setErrorHandler(async (error: Error & { statusCode?: number }, request, reply) => {
    if (isGodwitError(error)) return reply.code(ABOUT[error.code].http).send({ error: error.toJSON() });
    const status = error.statusCode ?? 500;
    if (status < 500) return reply.code(status).send({ error: wire("USAGE", error.message) });
    log.error({ err: error, url: request.url }, "request failed by a bug");
    return reply.code(500).send({ error: wire("BUG", error.message) });
  });
  fastify.setNotFoundHandler(async (request, reply) =>
    reply.code(404).send({ error: wire("USAGE", `There is no ${request.method} ${request.url}`) }),
  );
  return fastify;
}

function wire(code: string, message: string): WireError {
  return { code, fields: { problem: message }, message };
}
