import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { TlsOptions } from "node:tls";
import fastifyFactory, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  type FastifySchemaCompiler,
  type FastifyTypeProvider,
  LogController,
} from "fastify";
import type { Logger } from "pino";
import type { z } from "zod";
import { ABOUT, GodwitError, isGodwitError, type WireError } from "../errors/mod.ts";
import {
  BODY_BYTES_MAX,
  CHECK_MS,
  HANDSHAKE_MS,
  HEADER_BYTES_MAX,
  HEADERS_MS,
  IDLE_MS,
  REQUEST_MS,
  REQUESTS_PER_CONNECTION_MAX,
} from "./httpLimits.ts";

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

const failures = new WeakMap<FastifyRequest, string>();

/** The code with which this request was answered; null: it went well so far. */
export function failureOf(request: FastifyRequest): string | null {
  return failures.get(request) ?? null;
}

/**
 * A server whose failures all have the one shape `{error: {code, fields, message}}`, and that gives slow clients little
 * time (httpLimits.ts).
 * @param tls  as from `Tls.serverOptions`; without it plain HTTP
 */
export function makeHttp(log: Logger, tls?: TlsOptions): FastifyInstance {
  const times = { headersTimeout: HEADERS_MS, connectionsCheckingInterval: CHECK_MS };
  const node = { ...times, maxHeaderSize: HEADER_BYTES_MAX };
  const server =
    tls === undefined ? { http: node } : { https: { ...node, ...tls, handshakeTimeout: HANDSHAKE_MS } };
  const fastify = fastifyFactory({
    ...(server as { http: typeof node }), // the same instance to all who use it; only its server differs
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: IDLE_MS,
    maxRequestsPerSocket: REQUESTS_PER_CONNECTION_MAX,
    forceCloseConnections: true, // event streams never end by themselves
  });
  fastify.setValidatorCompiler(validate as FastifySchemaCompiler<unknown>);
  fastify.setSerializerCompiler(() => (data) => JSON.stringify(data));
  fastify.setErrorHandler(async (error: Error & { statusCode?: number }, request, reply) => {
    failures.set(
      request,
      isGodwitError(error) ? error.code : (error.statusCode ?? 500) < 500 ? "USAGE" : "BUG",
    );
    if (isGodwitError(error)) return reply.code(ABOUT[error.code].http).send({ error: error.toJSON() });
    const status = error.statusCode ?? 500;
    if (status < 500) return reply.code(status).send({ error: wire("USAGE", error.message) });
    log.error({ err: error, url: request.url }, "request failed by a bug");
    return reply.code(500).send({ error: wire("BUG", error.message) });
  });
  fastify.setNotFoundHandler(async (request, reply) => {
    failures.set(request, "USAGE");
    return reply.code(404).send({ error: wire("USAGE", `There is no ${request.method} ${request.url}`) });
  });
  return fastify;
}

function wire(code: string, message: string): WireError {
  return { code, fields: { problem: message }, message };
}
