import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import type { TLSSocket } from "node:tls";
import { ANY_HOST, type Expected, type Identity, type Tls } from "../../trust/mod.ts";
import { splitAddress } from "./address.ts";

/** Far more than the beats of a long move. */
const ANSWER_BYTES_MAX = 64 * 2 ** 20;

export interface PeerCall {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body: object | undefined;
  readonly signal: AbortSignal;
  /** Asking twice does no harm. */
  readonly idempotent: boolean;
}

export interface PeerAnswer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * HTTP to one other agent, with TLS where we have certificates. Connections are kept between calls: a commit, for which the
 * guest stands still, waits for no handshake.
 */
export class PeerLine {
  readonly #host: string;
  readonly #port: string;
  readonly #address: string;
  readonly #tls: Tls | null;
  readonly #agent: Agent;
  #peer: Identity | null = null;

  constructor(address: string, tls: Tls | null) {
    const { host, port } = splitAddress(address);
    this.#address = address;
    this.#host = host.replace(/^\[|\]$/g, "");
    this.#port = port;
    this.#tls = tls;
    // A session that was resumed would not be judged anew.
    this.#agent =
      tls === null ? new Agent({ keepAlive: true }) : new TlsAgent({ keepAlive: true, maxCachedSessions: 0 });
  }

  /** Who answered; null before, and without TLS. From then on nobody else may. */
  get peer(): Identity | null {
    return this.#peer;
  }

  /**
   * Asks once, and once more on a new connection where a kept one turned out to be closed, or was judged by certificates that
   * have been replaced. @throws what the connection failed with; GodwitError of TLS
   */
  async ask(call: PeerCall): Promise<PeerAnswer> {
    const { sent, answer } = this.#send(call, this.#agent);
    try {
      const got = await answer;
      const stale = got.status === 403 && sent.reusedSocket && call.idempotent;
      return stale ? await this.#send(call, false).answer : got;
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      const old = sent.reusedSocket && (code === "ECONNRESET" || code === "TLS_EXPIRED");
      if (!old || !call.idempotent || call.signal.aborted) throw error;
      return this.#send(call, false).answer;
    }
  }

  #send(call: PeerCall, agent: Agent | false): { sent: ClientRequest; answer: Promise<PeerAnswer> } {
    const { promise, resolve, reject } = Promise.withResolvers<PeerAnswer>();
    const text = call.body === undefined ? undefined : JSON.stringify(call.body);
    const common = {
      ...{ host: this.#host, port: this.#port, path: `/peer/v1/${call.path}`, method: call.method, agent },
      ...{ signal: call.signal },
      ...(text !== undefined && {
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(text) },
      }),
    };
    const take = (response: IncomingMessage) => void this.#take(response).then(resolve, reject);
    const tls = this.#tls;
    const sent =
      tls === null
        ? request(common, take)
        : tlsRequest({ ...common, ...tls.clientOptions(this.#expected, this.#address) }, take);
    sent.once("error", (error) => reject(tls?.explain(error, this.#address) ?? error));
    sent.end(text);
    return { sent, answer: promise };
  }

  get #expected(): Expected {
    return this.#peer === null ? ANY_HOST : { kinds: [this.#peer.kind], name: this.#peer.name };
  }

  async #take(response: IncomingMessage): Promise<PeerAnswer> {
    if (this.#tls !== null) this.#peer = this.#tls.authorise(response.socket as TLSSocket, this.#expected);
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response) {
      bytes += (chunk as Buffer).length;
      if (bytes > ANSWER_BYTES_MAX) throw new Error(`its answer is longer than ${ANSWER_BYTES_MAX} bytes`);
      chunks.push(chunk as Buffer);
    }
    return { status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString("utf8")) };
  }
}
