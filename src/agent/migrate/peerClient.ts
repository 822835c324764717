import type { z } from "zod";
import { GodwitError, isGodwitError, type WireError } from "../../errors/mod.ts";
import type { SideSeen } from "../../migration/mod.ts";
import type { Tls } from "../../trust/mod.ts";
import { PeerLine } from "./peerLine.ts";
import {
  type Answer,
  answerSchema,
  clockSchema,
  factsSchema,
  type Prepared,
  type PrepareOrder,
  preparedSchema,
  type Recovered,
  recoveredSchema,
  seenSchema,
  type TargetFacts,
} from "./peerSchemas.ts";

const PREPARE = "migrations";
/** A QEMU with devices and disks may take a while to start on a busy host. */
const PREPARE_MS = 60_000;
const CALL_MS = 3_000;
/** Longer than the target gives its QEMU to pause. */
const RECOVER_MS = 30_000;

/**
 * The target's agent, seen from the source. Errors of every call: PEER_UNREACHABLE, those of TLS (src/errors/trust.ts), or
 * what the other agent said.
 */
export class PeerClient {
  readonly address: string;
  readonly #line: PeerLine;

  /** @param tls  null: plain HTTP */
  constructor(address: string, tls: Tls | null) {
    this.address = address;
    this.#line = new PeerLine(address, tls);
  }

  /** The name in the certificate of who answers there; null before the first answer, and without TLS. */
  get name(): string | null {
    return this.#line.peer?.name ?? null;
  }

  /** @param signal  gives the call up; the caller then tells the target to discard */
  prepare(order: PrepareOrder, signal: AbortSignal): Promise<Prepared> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PREPARE_MS)]);
    return this.#call("POST", PREPARE, preparedSchema, order, limit);
  }

  commit(id: string): Promise<Answer> {
    return this.#call("POST", `migrations/${id}/commit`, answerSchema, {});
  }

  discard(id: string, error: WireError): Promise<Answer> {
    return this.#call("POST", `migrations/${id}/discard`, answerSchema, { error });
  }

  /** What it would answer to either, without an order. */
  word(id: string): Promise<Answer> {
    return this.#call("GET", `migrations/${id}`, answerSchema);
  }

  /** Post-copy was interrupted: the target makes ready for a rescue relay. */
  recover(id: string, ticket: string): Promise<Recovered> {
    const limit = AbortSignal.timeout(RECOVER_MS);
    return this.#call("POST", `migrations/${id}/recover`, recoveredSchema, { ticket }, limit);
  }

  /** What is to be seen at the target of a move that leaves us. */
  seenArrival(id: string): Promise<SideSeen> {
    return this.#call("GET", `migrations/${id}/seen`, seenSchema);
  }

  /** What is to be seen at the source of a move that arrives here: asked of the source's agent. */
  seenDeparture(id: string): Promise<SideSeen> {
    return this.#call("GET", `departures/${id}/seen`, seenSchema);
  }

  facts(id: string): Promise<TargetFacts> {
    return this.#call("GET", `migrations/${id}/facts`, factsSchema);
  }

  async wallMs(): Promise<number> {
    return (await this.#call("GET", "clock", clockSchema)).wallMs;
  }

  async #call<S extends z.ZodType>(
    method: "GET" | "POST",
    path: string,
    schema: S,
    body?: object,
    signal: AbortSignal = AbortSignal.timeout(CALL_MS),
  ): Promise<z.output<S>> {
    const unreachable = (reason: string, cause?: unknown) =>
      new GodwitError("PEER_UNREACHABLE", { address: this.address, reason }, { cause });
    const idempotent = path !== PREPARE;
    const answer = await this.#line
      .ask({ method, path, body, signal, idempotent })
      .catch((error: unknown) => {
        if (isGodwitError(error)) throw error;
        throw unreachable(reasonOf(error), error);
      });
    if (answer.status < 200 || answer.status >= 300) throw GodwitError.fromWire(wireError(answer.body));
    const parsed = schema.safeParse(answer.body);
    if (!parsed.success)
      throw unreachable("what answers there is not a Godwit agent of this version", parsed.error);
    return parsed.data;
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message || error.cause.name : error.message;
}

function wireError(answer: unknown): WireError {
  const error = (answer as { error?: Partial<WireError> } | null)?.error;
  return {
    code: typeof error?.code === "string" ? error.code : "unknown",
    fields: typeof error?.fields === "object" && error.fields !== null ? error.fields : {},
    message: typeof error?.message === "string" ? error.message : "no reason given",
  };
}
