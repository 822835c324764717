import type { ServerResponse } from "node:http";
import type { FastifyInstance } from "fastify";
import { GodwitError } from "../../errors/mod.ts";
import { callerOf } from "../caller.ts";
import type { EventBus } from "../context.ts";
import { EVENT_STREAMS_MAX, EVENT_STREAMS_PER_CALLER_MAX, EVENT_UNREAD_BYTES_MAX } from "../httpLimits.ts";

/** So long a reader that was dropped has to take what was written for it, the last line included. */
const LAST_WORDS_MS = 5_000;

/**
 * GET /v1/events: one JSON object a line, from now on, until the reader goes away. Errors: TOO_MANY.
 * A reader that falls behind is dropped instead of being held in memory; its last line has the type "events.dropped".
 */
export function eventRoutes(fastify: FastifyInstance, events: EventBus): void {
  const schema = {
    tags: ["events"],
    summary: "Events as JSON lines: {seq, atMs, type, data}",
    produces: ["application/x-ndjson"],
  };
  const readers = new Map<ServerResponse, string>();

  fastify.get("/v1/events", { schema }, (request, reply) => {
    const { role, name, address } = callerOf(request);
    const reader = `${role} ${name ?? address}`;
    const own = [...readers.values()].filter((other) => other === reader).length;
    if (readers.size >= EVENT_STREAMS_MAX || own >= EVENT_STREAMS_PER_CALLER_MAX)
      throw new GodwitError("TOO_MANY", {
        what: `event streams of ${reader}`,
        max: `${EVENT_STREAMS_PER_CALLER_MAX} of one caller, ${EVENT_STREAMS_MAX} in all`,
      });
    reply.hijack();
    const { raw } = reply;
    readers.set(raw, reader);
    raw.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-store" });
    raw.flushHeaders(); // so that the reader knows that from here on nothing is missed
    const off = events.on((event) => {
      raw.write(`${JSON.stringify(event)}\n`);
      if (raw.writableLength <= EVENT_UNREAD_BYTES_MAX) return;
      off();
      const data = { reason: "you do not read them as fast as they come" };
      raw.end(`${JSON.stringify({ ...event, type: "events.dropped", data })}\n`);
      setTimeout(() => raw.destroy(), LAST_WORDS_MS).unref();
    });
    raw.on("close", () => {
      readers.delete(raw);
      off();
    });
  });
}
