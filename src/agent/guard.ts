/** What stands before every route of a server: who asks, whether he may, how often; and what the audit log says of it. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { GodwitError, isGodwitError } from "../errors/mod.ts";
import type { AuditLine, AuditLog } from "./audit.ts";
import { type Caller, callerIfKnown, callerOf, remember } from "./caller.ts";
import { boundConnections } from "./connections.ts";
import type { Clock } from "./context.ts";
import { failureOf } from "./http.ts";
import {
  CONNECTIONS,
  CONNECTIONS_PER_ADDRESS,
  GRACE_MS,
  IN_FLIGHT_MAX,
  IN_FLIGHT_PER_CALLER_MAX,
  ORDERS,
  READS,
} from "./httpLimits.ts";
import { Rates } from "./rates.ts";
import type { Refusals } from "./refusals.ts";
import { checkRole, type Rule, ruleOf } from "./roles.ts";

/** Longest words of a caller that the audit log takes over. */
const WORD_CHARS_MAX = 200;

export interface Guard {
  /** Who sent this. @throws GodwitError TLS_NO_CERTIFICATE and its like: then it has written its own refusal. */
  readonly identify: (request: FastifyRequest) => Caller;
  readonly audit: Pick<AuditLog, "write">;
  readonly refusals: Pick<Refusals, "add">;
  readonly clock: Clock;
}

/**
 * Puts roles, limits and the audit log before each route that is registered after it. A route without a role cannot be
 * registered. Errors of the routes from then on: FORBIDDEN, TOO_MANY, and those of `identify`.
 */
export function guard(fastify: FastifyInstance, { identify, audit, refusals, clock }: Guard): void {
  const orders = new Rates(ORDERS);
  const reads = new Rates(READS);
  const inFlight = new Map<string, number>();
  let allInFlight = 0;

  fastify.addHook("onRoute", (route) => {
    const methods = Array.isArray(route.method) ? route.method : [route.method];
    for (const method of methods) ruleOf(method, route.url);
  });

  const bounds = { all: CONNECTIONS, perAddress: CONNECTIONS_PER_ADDRESS, graceMs: GRACE_MS };
  boundConnections(fastify.server, bounds, clock, (address) => {
    const who = { role: null, name: null, how: "connection", from: address };
    refusals.add({ who, order: "connect", ...NOTHING, outcome: "refused", error: "TOO_MANY", times: 1 });
  });

  fastify.addHook("onRequest", async (request, reply) => {
    const caller = identified(identify, request, reply);
    const rule = ruleIfAny(request);
    if (rule === null) return; // nothing is there: 404, for those who are known
    checkRole(caller.role, rule);
    if (rule.urgent) return;
    const key = keyOf(caller);
    const [rates, { perSec }] = isOrder(request) ? [orders, ORDERS] : [reads, READS];
    if (!rates.take(key, clock.monoMs()))
      throw new GodwitError("TOO_MANY", { what: `requests from ${key}`, max: `${perSec} a second` });
    const own = inFlight.get(key) ?? 0;
    if (allInFlight >= IN_FLIGHT_MAX || own >= IN_FLIGHT_PER_CALLER_MAX)
      throw new GodwitError("TOO_MANY", {
        what: `requests at once from ${key}`,
        max: `${IN_FLIGHT_PER_CALLER_MAX}`,
      });
    inFlight.set(key, own + 1);
    allInFlight += 1;
    reply.raw.once("close", () => {
      allInFlight -= 1;
      const left = inFlight.get(key)! - 1;
      if (left === 0) inFlight.delete(key);
      else inFlight.set(key, left);
    });
  });

  // Before the answer leaves: whoever has an answer has an entry.
  fastify.addHook("onSend", async (request, reply, payload) => {
    const error = failureOf(request);
    const turnedAway = error === "FORBIDDEN" || error === "TOO_MANY";
    if (callerIfKnown(request) === null) return; // `identify` has told why
    if (!isOrder(request) && !turnedAway) return;
    const line = lineOf(request, reply, payload);
    if (line.outcome === "accepted") audit.write(line);
    else refusals.add(line);
  });
}

const NOTHING = { subject: null, migration: null, detail: null } as const;

function identified(identify: Guard["identify"], request: FastifyRequest, reply: FastifyReply): Caller {
  try {
    const caller = identify(request);
    remember(request, caller);
    return caller;
  } catch (error) {
    if (isGodwitError(error)) void reply.header("connection", "close");
    throw error;
  }
}

function ruleIfAny(request: FastifyRequest): Rule | null {
  const { method, url } = request.routeOptions;
  if (request.is404 || url === undefined || method === undefined) return null;
  return ruleOf(Array.isArray(method) ? method[0]! : method, url);
}

function isOrder(request: FastifyRequest): boolean {
  return !["GET", "HEAD", "OPTIONS"].includes(request.method);
}

/** Without a certificate an address is all that tells callers apart. */
function keyOf({ role, name, address }: Caller): string {
  return name === null ? (address ?? "unknown") : `${role} ${name}`;
}

function lineOf(request: FastifyRequest, reply: FastifyReply, payload: unknown): AuditLine {
  const { role, name, how, address } = callerOf(request);
  const rule = ruleIfAny(request);
  const error = failureOf(request);
  const params = record(request.params);
  const body = record(request.body);
  const id = word(params["id"]) ?? word(body["id"]);
  return {
    who: { role, name, how, from: address },
    order: rule?.order ?? `${request.method} ${word(request.url)}`,
    subject:
      word(params["name"]) ?? word(body["vm"]) ?? word(body["name"]) ?? word(record(body["spec"])["name"]),
    migration: id ?? (error === null && reply.statusCode === 202 ? answeredId(payload) : null),
    // A body that was refused is a stranger's: nobody knows what is in it.
    detail: error === null && request.body != null ? cut(rule?.detail?.(body) ?? null) : null,
    outcome: error === null ? "accepted" : "refused",
    error,
    times: 1,
  };
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function word(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? cut(value) : null;
}

function cut(text: string | null): string | null {
  return text === null || text.length <= WORD_CHARS_MAX ? text : `${text.slice(0, WORD_CHARS_MAX)}…`;
}

/** Of the answer to an order that was accepted to be carried out. */
function answeredId(payload: unknown): string | null {
  return typeof payload === "string" ? word(record(JSON.parse(payload))["id"]) : null;
}
