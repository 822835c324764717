/** Sessions between two relays over sockets, and reading sockets in bulk. docs/wire.md. */
export { isLoopback, refuseInsecure } from "./address.ts";
export { Arena } from "./arena.ts";
export { acceptBulk, type BulkConsumer, BulkReader, connectBulk } from "./bulk.ts";
export { type ConnectedLink, connectLink } from "./connect.ts";
export { Inbox } from "./inbox.ts";
export { type LinkServer, listenLink, type Offer } from "./listen.ts";
export { type LinkEvent, type LinkOptions, type LinkTls, TIMING, type Timing } from "./options.ts";
export { type AckFault, Outbox, type OutFrame } from "./outbox.ts";
export type { Link, LinkHandler, LinkStats, ReceivedFrame } from "./types.ts";
export { WINDOW_BYTES_MAX, WINDOW_BYTES_MIN, type WindowInput, windowBytes } from "./window.ts";
export { BulkWriter } from "./writer.ts";
