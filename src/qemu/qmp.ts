import type { Duplex, Readable, Writable } from "node:stream";
import { GodwitError, isGodwitError } from "../errors/mod.ts";
import type { CommandAnswer, CommandArgs, CommandName, QmpEvent } from "./commands.ts";
import { EventHub } from "./events.ts";
import { LineSplitter } from "./lines.ts";
import { type Greeting, type Message, parseMessage } from "./messages.ts";
import { connectChecked } from "./privateSocket.ts";

/** `query-qmp-schema` is by far the longest answer: about 1.5 MB in QEMU 10.0. */
const LINE_BYTES_MAX = 16 * 2 ** 20;
/** Echoes of what is no QMP; more than this and the other end is not QEMU. */
const BAD_LINES_MAX = 16;
const TIMEOUT_MS = 10_000;

export interface ExecuteOptions {
  /** How long to wait for the answer; default 10 000. 0 waits until the monitor closes. */
  readonly timeoutMs?: number;
  /** Out of band: answered even while QEMU's main loop hangs. Only on a monitor opened with `oob`, few commands. */
  readonly oob?: boolean;
}

interface Pending {
  readonly command: string;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: GodwitError) => void;
  readonly timer: NodeJS.Timeout | null;
}

export interface QmpOptions {
  /** For messages: the socket's path or what else this monitor is called. */
  readonly name: string;
  /** Ask for out-of-band execution; refused with QMP_ERROR by a QEMU that has none. */
  readonly oob?: boolean;
  /** For greeting and negotiation; default 10 000. */
  readonly timeoutMs?: number;
}

/**
 * One QMP monitor: commands with ids, events, one named end.
 * When the connection closes everything pending fails with QMP_CLOSED; so does everything asked later.
 * Source: docs/interop/qmp-spec.
 */
export class Qmp {
  readonly name: string;
  readonly #input: Readable;
  readonly #output: Writable;
  readonly #lines = new LineSplitter(LINE_BYTES_MAX);
  readonly #pending = new Map<string, Pending>();
  readonly #hub = new EventHub();
  readonly #greeting = Promise.withResolvers<Greeting>();
  readonly #closed = Promise.withResolvers<GodwitError>();
  #end: GodwitError | null = null;
  #badLines = 0;
  #lastId = 0;

  private constructor(input: Readable, output: Writable, name: string) {
    this.name = name;
    this.#input = input;
    this.#output = output;
    this.#greeting.promise.catch(() => undefined); // its reader gets it; here only so that nobody else must
    input.on("data", (chunk: Buffer) => this.#read(chunk));
    for (const stream of [input, output]) {
      stream.on("error", (error: Error) => this.#close(error.message));
      stream.on("close", () => this.#close("the connection ended"));
    }
    input.on("end", () => this.#close("the connection ended"));
  }

  /**
   * Opens a monitor on two streams (stdio of a probe) or one socket, and negotiates.
   * Errors: QMP_TIMEOUT without a greeting, QMP_CLOSED when what answers is no QMP or goes away.
   */
  static async open(input: Readable, output: Writable, options: QmpOptions): Promise<Qmp> {
    const qmp = new Qmp(input, output, options.name);
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const timer = setTimeout(() => {
      qmp.#greeting.reject(new GodwitError("QMP_TIMEOUT", { command: "connect", timeoutMs }));
    }, timeoutMs);
    try {
      const greeting = await qmp.#greeting.promise;
      const enable = options.oob === true && greeting.oob ? { enable: ["oob"] } : {};
      if (options.oob === true && !greeting.oob)
        throw new GodwitError("QMP_ERROR", {
          command: "qmp_capabilities",
          class: "NoOob",
          desc: "this monitor has no out-of-band execution",
        });
      await qmp.#send("qmp_capabilities", enable, { timeoutMs });
      return qmp;
    } catch (error) {
      qmp.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves (never rejects) with the reason once the monitor is closed. */
  get closed(): Promise<GodwitError> {
    return this.#closed.promise;
  }

  get isClosed(): boolean {
    return this.#end !== null;
  }

  /**
   * Runs a command. Errors: QMP_ERROR with QEMU's words, QMP_TIMEOUT, QMP_CLOSED.
   * After a QMP_TIMEOUT the command may still have been carried out: its late answer is dropped.
   */
  execute<C extends CommandName>(
    command: C,
    ...rest: Record<string, never> extends CommandArgs<C>
      ? [args?: CommandArgs<C>, options?: ExecuteOptions]
      : [args: CommandArgs<C>, options?: ExecuteOptions]
  ): Promise<CommandAnswer<C>> {
    const [args, options] = rest;
    return this.#send(command, args ?? {}, options ?? {}) as Promise<CommandAnswer<C>>;
  }

  onEvent(listener: (event: QmpEvent) => void): () => void {
    return this.#hub.on(listener);
  }

  events(): AsyncGenerator<QmpEvent, void, void> {
    return this.#hub.iterate();
  }

  waitFor(name: string, when: (event: QmpEvent) => boolean, timeoutMs: number): Promise<QmpEvent> {
    return this.#hub.waitFor(name, when, timeoutMs);
  }

  /** Lets go of the monitor; QEMU goes on. */
  close(): void {
    this.#close("closed by us");
  }

  #send(command: string, args: object, options: ExecuteOptions): Promise<unknown> {
    if (this.#end !== null) return Promise.reject(this.#end);
    const id = `g${++this.#lastId}`;
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer =
      timeoutMs === 0
        ? null
        : setTimeout(() => {
            this.#pending.delete(id);
            reject(new GodwitError("QMP_TIMEOUT", { command, timeoutMs }));
          }, timeoutMs);
    this.#pending.set(id, { command, resolve, reject, timer });
    const verb = options.oob === true ? "exec-oob" : "execute";
    this.#output.write(`${JSON.stringify({ [verb]: command, arguments: args, id })}\r\n`);
    return promise;
  }

  #read(chunk: Buffer): void {
    for (const line of this.#lines.push(chunk)) {
      if (line.trim() === "") continue;
      this.#dispatch(parseMessage(line));
    }
    if (this.#badLines + this.#lines.tooLong > BAD_LINES_MAX) this.#close("what answers there speaks no QMP");
  }

  #dispatch(message: Message): void {
    switch (message.kind) {
      case "greeting":
        this.#greeting.resolve(message.greeting);
        return;
      case "event":
        this.#hub.emit({ ...message.event, readAtMs: performance.now() });
        return;
      case "answer":
        this.#take(message.id)?.resolve(message.answer);
        return;
      case "error": {
        const pending = this.#take(message.id);
        const fields = { command: pending?.command ?? "", class: message.class, desc: message.desc };
        pending?.reject(new GodwitError("QMP_ERROR", fields));
        return;
      }
      case "bad":
        this.#badLines += 1;
    }
  }

  #take(id: string): Pending | null {
    const pending = this.#pending.get(id);
    if (pending === undefined) return null; // late: its caller was told QMP_TIMEOUT
    this.#pending.delete(id);
    if (pending.timer !== null) clearTimeout(pending.timer);
    return pending;
  }

  #close(reason: string): void {
    if (this.#end !== null) return;
    const error = new GodwitError("QMP_CLOSED", { monitor: this.name, reason });
    this.#end = error;
    this.#input.destroy();
    this.#output.destroy();
    for (const { timer, reject } of this.#pending.values()) {
      if (timer !== null) clearTimeout(timer);
      reject(error);
    }
    this.#pending.clear();
    this.#greeting.reject(error);
    this.#hub.end(error);
    this.#closed.resolve(error);
  }
}

/** Connects to a QMP unix socket that nobody else can have put there. Errors: QMP_UNREACHABLE, PATH_UNSAFE, and those of `Qmp.open`. */
export async function connectQmp(path: string, options: Omit<QmpOptions, "name"> = {}): Promise<Qmp> {
  let socket: Duplex;
  try {
    socket = await connectChecked(path);
  } catch (error) {
    if (isGodwitError(error)) throw error;
    throw new GodwitError("QMP_UNREACHABLE", { path, reason: (error as Error).message }, { cause: error });
  }
  return Qmp.open(socket, socket, { name: path, ...options });
}
