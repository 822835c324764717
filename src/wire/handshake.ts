/** Payloads of hello, welcome, resume and resumed. docs/wire.md, section "Session frames". */
import { getU16, getU64, putU16, putU64 } from "./bytes.ts";
import { GREETING_BYTES_MAX, SESSION_ID_BYTES, TICKET_BYTES_MAX } from "./kinds.ts";

/** The link versions this code speaks. */
export const VERSION_MIN = 1;
export const VERSION_MAX = 1;

export interface Hello {
  readonly versionMin: number;
  readonly versionMax: number;
  /** 16 bytes, chosen at random by the source: names the session. */
  readonly sessionId: Uint8Array;
  readonly ticket: Uint8Array;
  /** What the layer above says first; opaque here. */
  readonly greeting: Uint8Array;
}
export interface Welcome {
  readonly version: number;
  readonly greeting: Uint8Array;
}
/** How far one direction has come at its receiver: `releasedUpTo` <= `receivedUpTo`, sequence numbers. */
export interface ReceivePoint {
  readonly receivedUpTo: number;
  readonly releasedUpTo: number;
}
export interface Resume extends ReceivePoint {
  readonly version: number;
  readonly sessionId: Uint8Array;
  readonly ticket: Uint8Array;
}
export type HandshakeFault = "too_short" | "length" | "version_range" | "reserved" | "receive_point";

function bounded(bytes: Uint8Array, bytesMax: number, what: string): Uint8Array {
  if (bytes.length > bytesMax) throw new RangeError(`${what} of ${bytes.length} bytes, at most ${bytesMax}`);
  return bytes;
}

function sessionId(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== SESSION_ID_BYTES) throw new RangeError(`session id of ${bytes.length} bytes`);
  return bytes;
}

/** Payload of hello. Throws RangeError when ticket, greeting or session id are too long: the caller checks its own. */
export function encodeHello(hello: Hello): Uint8Array {
  const ticket = bounded(hello.ticket, TICKET_BYTES_MAX, "ticket");
  const greeting = bounded(hello.greeting, GREETING_BYTES_MAX, "greeting");
  const b = new Uint8Array(24 + ticket.length + greeting.length);
  putU16(b, 0, hello.versionMin);
  putU16(b, 2, hello.versionMax);
  b.set(sessionId(hello.sessionId), 4);
  putU16(b, 20, ticket.length);
  putU16(b, 22, greeting.length);
  b.set(ticket, 24);
  b.set(greeting, 24 + ticket.length);
  return b;
}

/** The values are copies: the payload may lie in a reused buffer. */
export function decodeHello(b: Uint8Array): Hello | HandshakeFault {
  if (b.length < 24) return "too_short";
  const ticketBytes = getU16(b, 20);
  const greetingBytes = getU16(b, 22);
  if (ticketBytes > TICKET_BYTES_MAX || greetingBytes > GREETING_BYTES_MAX) return "length";
  if (b.length !== 24 + ticketBytes + greetingBytes) return "length";
  const versionMin = getU16(b, 0);
  const versionMax = getU16(b, 2);
  if (versionMin === 0 || versionMin > versionMax) return "version_range";
  const ticketEnd = 24 + ticketBytes;
  return {
    versionMin,
    versionMax,
    sessionId: b.slice(4, 20),
    ticket: b.slice(24, ticketEnd),
    greeting: b.slice(ticketEnd),
  };
}

/** Payload of welcome: the agreed version and what the target says first. */
export function encodeWelcome(welcome: Welcome): Uint8Array {
  const greeting = bounded(welcome.greeting, GREETING_BYTES_MAX, "greeting");
  const b = new Uint8Array(4 + greeting.length);
  putU16(b, 0, welcome.version);
  putU16(b, 2, greeting.length);
  b.set(greeting, 4);
  return b;
}

/** The welcome, or the name of the first rule its bytes break. */
export function decodeWelcome(b: Uint8Array): Welcome | HandshakeFault {
  if (b.length < 4) return "too_short";
  if (b.length !== 4 + getU16(b, 2)) return "length";
  const version = getU16(b, 0);
  return version === 0 ? "version_range" : { version, greeting: b.slice(4) };
}

/** Payload of resume: which session, and how far the source has received and released. */
export function encodeResume(resume: Resume): Uint8Array {
  const ticket = bounded(resume.ticket, TICKET_BYTES_MAX, "ticket");
  const b = new Uint8Array(40 + ticket.length);
  putU16(b, 0, resume.version);
  b.set(sessionId(resume.sessionId), 4);
  putU64(b, 20, resume.receivedUpTo);
  putU64(b, 28, resume.releasedUpTo);
  putU16(b, 36, ticket.length);
  b.set(ticket, 40);
  return b;
}

/** The resume, or the name of the first rule its bytes break. */
export function decodeResume(b: Uint8Array): Resume | HandshakeFault {
  if (b.length < 40) return "too_short";
  const ticketBytes = getU16(b, 36);
  if (ticketBytes > TICKET_BYTES_MAX || b.length !== 40 + ticketBytes) return "length";
  if (getU16(b, 2) !== 0 || getU16(b, 38) !== 0) return "reserved";
  const version = getU16(b, 0);
  if (version === 0) return "version_range";
  const point = receivePoint(b, 20);
  if (typeof point === "string") return point;
  return { version, sessionId: b.slice(4, 20), ...point, ticket: b.slice(40) };
}

/** Payload of resumed: how far the target has received and released. */
export function encodeResumed(point: ReceivePoint): Uint8Array {
  const b = new Uint8Array(16);
  putU64(b, 0, point.receivedUpTo);
  putU64(b, 8, point.releasedUpTo);
  return b;
}

/** The receive point in a resumed, or the name of the first rule its bytes break. */
export function decodeResumed(b: Uint8Array): ReceivePoint | HandshakeFault {
  return b.length === 16 ? receivePoint(b, 0) : "length";
}

function receivePoint(b: Uint8Array, at: number): ReceivePoint | HandshakeFault {
  const receivedUpTo = getU64(b, at);
  const releasedUpTo = getU64(b, at + 8);
  if (receivedUpTo === undefined || releasedUpTo === undefined || releasedUpTo > receivedUpTo)
    return "receive_point";
  return { receivedUpTo, releasedUpTo };
}
