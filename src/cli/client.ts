import { type ClientRequest, type IncomingMessage, type RequestOptions, request } from "node:http";
import { type AgentEvent, clientSocket } from "../agent/mod.ts";
import { GodwitError, type WireError } from "../errors/mod.ts";
import { LineSplitter } from "../qemu/mod.ts";
import { ANY_HOST, openTls, type Tls } from "../trust/mod.ts";

const LINE_BYTES_MAX = 4 * 2 ** 20;

/** Where an agent is, as --socket, --api and --tls say it. */
export interface AgentAt {
  /** Default: GODWIT_SOCKET, else the default agent's. */
  readonly socket?: string | undefined;
  /** HOST:PORT. Default without a socket: GODWIT_API. */
  readonly api?: string | undefined;
  /** The folder of our certificate. Default: GODWIT_TLS. */
  readonly tls?: string | undefined;
}

/** Speaks to an agent: over its unix socket, or over TLS as whoever the certificate says. */
export class AgentClient {
  /** For messages: the socket's path or HOST:PORT. */
  readonly path: string;
  readonly #folder: string | null;
  #tls: Tls | null = null;

  /** A path is a socket's. Errors: USAGE for --api without a folder. */
  constructor(at: string | undefined | AgentAt, env: NodeJS.ProcessEnv = process.env) {
    const { socket, api, tls } = typeof at === "object" ? at : { socket: at };
    const address = api ?? (socket === undefined ? env["GODWIT_API"] || undefined : undefined);
    this.#folder = address === undefined ? null : (tls ?? (env["GODWIT_TLS"] || null));
    this.path = address ?? clientSocket(socket, env);
    if (address !== undefined && this.#folder === null)
      throw new GodwitError("USAGE", { problem: "--api needs --tls DIR (or GODWIT_TLS): who are you?" });
    if (address !== undefined && !/^(\[[\da-fA-F:.]+\]|[\w.-]+):\d{1,5}$/.test(address))
      throw new GodwitError("USAGE", { problem: `${address} is not HOST:PORT` });
  }

  get<T>(url: string): Promise<T> {
    return this.#json("GET", url);
  }

  post<T>(url: string, body: object = {}): Promise<T> {
    return this.#json("POST", url, body);
  }

  delete(url: string): Promise<void> {
    return this.#json("DELETE", url);
  }

  /**
   * The agent's events from now on. Resolves once nothing can be missed any more; the iteration ends when the
   * agent ends or `close` is called. Errors: AGENT_UNREACHABLE, and what the agent answered.
   */
  async events(): Promise<{ events: AsyncGenerator<AgentEvent, void, void>; close: () => void }> {
    const answer = await this.#open("GET", "/v1/events");
    if (answer.statusCode !== 200)
      throw GodwitError.fromWire(failure(await text(answer), answer.statusCode ?? 0));
    return { events: lines(answer), close: () => answer.destroy() };
  }

  /** Errors: AGENT_UNREACHABLE, and what the agent answered. */
  async #json<T>(method: string, url: string, body?: object): Promise<T> {
    const answer = await this.#open(method, url, body);
    const said = await text(answer).catch((error) => {
      throw this.#unreachable(error as Error);
    });
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300) return (said === "" ? undefined : JSON.parse(said)) as T;
    throw GodwitError.fromWire(failure(said, status));
  }

  async #open(method: string, url: string, body?: object): Promise<IncomingMessage> {
    const json = body === undefined ? {} : { headers: { "content-type": "application/json" } };
    const ask = await this.#asker({ method, path: url, agent: false, ...json });
    return new Promise((resolve, reject) => {
      const call = ask(resolve);
      call.once("error", (error) => reject(this.#tls?.explain(error, this.path) ?? this.#unreachable(error)));
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** TLS is loaded only where it is used: every other command would pay for it at its start. */
  async #asker(options: RequestOptions): Promise<(done: (answer: IncomingMessage) => void) => ClientRequest> {
    if (this.#folder === null) return (done) => request({ socketPath: this.path, ...options }, done);
    const https = await import("node:https");
    this.#tls ??= await openTls(this.#folder);
    const at = {
      host: this.path.replace(/:\d+$/, "").replace(/[[\]]/g, ""),
      port: this.path.replace(/^.*:/, ""),
    };
    const secure = this.#tls.clientOptions(ANY_HOST, this.path);
    return (done) => https.request({ ...secure, ...at, ...options }, done);
  }

  #unreachable(error: Error): GodwitError {
    return new GodwitError("AGENT_UNREACHABLE", { path: this.path, reason: error.message }, { cause: error });
  }
}

async function text(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function failure(said: string, status: number): WireError {
  try {
    const { error } = JSON.parse(said) as { error?: WireError };
    if (error !== undefined) return error;
  } catch {
    // Not an agent, or one of another kind: the status below has to do.
  }
  return { code: `HTTP ${status}`, fields: {}, message: said.slice(0, 200) };
}

async function* lines(answer: IncomingMessage): AsyncGenerator<AgentEvent, void, void> {
  const splitter = new LineSplitter(LINE_BYTES_MAX);
  try {
    for await (const chunk of answer)
      for (const line of splitter.push(chunk as Buffer)) yield JSON.parse(line) as AgentEvent;
  } catch (error) {
    // The agent ended, or we closed it: both are the end of the events.
    if (
      !["ECONNRESET", "ABORT_ERR", "ERR_STREAM_PREMATURE_CLOSE"].includes(
        (error as NodeJS.ErrnoException).code ?? "",
      )
    )
      throw error;
  }
}
