/** In the place of src/agent/migrate/peerClient.ts: calls over the simulated network instead of HTTP. */
import type {
  Answer,
  Prepared,
  PrepareOrder,
  Recovered,
  TargetFacts,
} from "../../src/agent/migrate/peerSchemas.ts";
import type { WireError } from "../../src/errors/mod.ts";
import { type CallLimits, here } from "../engine/active.ts";

const PREPARE_MS = 60_000;
const CALL_MS = 3_000;
const RECOVER_MS = 30_000;

export class PeerClient {
  readonly address: string;
  readonly name = null;

  constructor(address: string) {
    this.address = address;
  }

  prepare(order: PrepareOrder, signal: AbortSignal): Promise<Prepared> {
    return this.#call("prepare", [order], { timeoutMs: PREPARE_MS, signal });
  }

  commit(id: string): Promise<Answer> {
    return this.#call("commit", [id]);
  }

  discard(id: string, error: WireError): Promise<Answer> {
    return this.#call("discard", [id, error]);
  }

  word(id: string): Promise<Answer> {
    return this.#call("word", [id]);
  }

  recover(id: string, ticket: string): Promise<Recovered> {
    return this.#call("recover", [id, ticket], { timeoutMs: RECOVER_MS });
  }

  facts(id: string): Promise<TargetFacts> {
    return this.#call("facts", [id]);
  }

  wallMs(): Promise<number> {
    return this.#call("wallMs", []);
  }

  #call<T>(
    method: string,
    args: readonly unknown[],
    limits: CallLimits = { timeoutMs: CALL_MS },
  ): Promise<T> {
    return here().peers.call(this.address, method, args, limits) as Promise<T>;
  }
}
