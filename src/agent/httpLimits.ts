/** What strangers and slow or busy clients may take of an agent's servers. One kind of limit, one number, one reason. */

/** Longest body: a VM's spec with all its arguments and disks is below 400 KiB. */
export const BODY_BYTES_MAX = 512 * 1024;
/** Line and headers together. */
export const HEADER_BYTES_MAX = 8 * 1024;
/** A request's headers, and all of it, must be there so long after its first byte. */
export const HEADERS_MS = 5_000;
export const REQUEST_MS = 10_000;
/** How often Node looks for requests that are late. */
export const CHECK_MS = 1_000;
/** A connection without a request is closed after this. */
export const IDLE_MS = 5_000;
export const HANDSHAKE_MS = 5_000;
/** A connection ends after so many, so that none lasts for ever. */
export const REQUESTS_PER_CONNECTION_MAX = 10_000;

/**
 * Connections to one server, and of those from one address. Beyond `held` those that have been silent for `GRACE_MS` make room for
 * new ones; `max` are never exceeded.
 */
export const CONNECTIONS = { held: 256, max: 1024 } as const;
export const CONNECTIONS_PER_ADDRESS = { held: 64, max: 512 } as const;
/** Time for a handshake and a request's head, also on a host that is busy. */
export const GRACE_MS = 2_000;

/** Requests that are being worked on. Starting a VM, or preparing for one, takes seconds. */
export const IN_FLIGHT_MAX = 64;
export const IN_FLIGHT_PER_CALLER_MAX = 32;

/** Per caller: a burst, then so many a second. */
export const ORDERS = { burst: 40, perSec: 10 } as const;
export const READS = { burst: 400, perSec: 200 } as const;

/** Event streams of one caller, and of all; each is held in memory up to so many bytes that were not read yet. */
export const EVENT_STREAMS_PER_CALLER_MAX = 16;
export const EVENT_STREAMS_MAX = 64;
export const EVENT_UNREAD_BYTES_MAX = 1024 * 1024;
