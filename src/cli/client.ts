import { type IncomingMessage, request } from "node:http";
import { type AgentEvent, clientSocket } from "../agent/mod.ts";
import { GodwitError, type WireError } from "../errors/mod.ts";
import { LineSplitter } from "../qemu/mod.ts";

const LINE_BYTES_MAX = 4 * 2 ** 20;

/** Speaks to an agent over its unix socket. */
export class AgentClient {
  readonly path: string;

  /** `socket` as given by --socket; else GODWIT_SOCKET, else the default agent's. */
  constructor(socket: string | undefined) {
    this.path = clientSocket(socket);
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
   * agent ends or `close` is called. Errors: AGENT_UNREACHABLE.
   */
  async events(): Promise<{ events: AsyncGenerator<AgentEvent, void, void>; close: () => void }> {
    const answer = await this.#open("GET", "/v1/events");
    return { events: lines(answer), close: () => answer.destroy() };
  }

  /** Errors: AGENT_UNREACHABLE, and what the agent answered. */
  async #json<T>(method: string, url: string, body?: object): Promise<T> {
    const answer = await this.#open(method, url, body);
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of answer) chunks.push(chunk as Buffer);
    } catch (error) {
      throw this.#unreachable(error as Error);
    }
    const text = Buffer.concat(chunks).toString("utf8");
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300) return (text === "" ? undefined : JSON.parse(text)) as T;
    throw GodwitError.fromWire(failure(text, status));
  }

  #open(method: string, url: string, body?: object): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const json = body === undefined ? {} : { headers: { "content-type": "application/json" } };
      const call = request({ socketPath: this.path, method, path: url, agent: false, ...json }, resolve);
      call.once("error", (error) => reject(this.#unreachable(error)));
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  #unreachable(error: Error): GodwitError {
    return new GodwitError("AGENT_UNREACHABLE", { path: this.path, reason: error.message }, { cause: error });
  }
}

function failure(text: string, status: number): WireError {
  try {
    const { error } = JSON.parse(text) as { error?: WireError };
    if (error !== undefined) return error;
  } catch {
    // Not an agent, or one of another kind: the status below has to do.
  }
  return { code: `HTTP ${status}`, fields: {}, message: text.slice(0, 200) };
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
