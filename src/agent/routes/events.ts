import type { FastifyInstance } from "fastify";
import type { EventBus } from "../context.ts";

/** A reader that stops reading is cut off instead of being held in memory. */
const UNREAD_BYTES_MAX = 1024 * 1024;

/** GET /v1/events: one JSON object a line, from now on, until the reader goes away. */
export function eventRoutes(fastify: FastifyInstance, events: EventBus): void {
  const schema = {
    tags: ["events"],
    summary: "Events as JSON lines: {seq, atMs, type, data}",
    produces: ["application/x-ndjson"],
  };
  fastify.get("/v1/events", { schema }, (_request, reply) => {
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-store" });
    raw.flushHeaders(); // so that the reader knows that from here on nothing is missed
    const off = events.on((event) => {
      raw.write(`${JSON.stringify(event)}\n`);
      if (raw.writableLength > UNREAD_BYTES_MAX) raw.destroy();
    });
    raw.on("close", off);
  });
}
