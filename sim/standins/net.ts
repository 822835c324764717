/** In the place of node:net, for what src uses of it. Sockets are ends of wires of the simulated network. */
import { EventEmitter } from "node:events";
import { here } from "../engine/active.ts";
import type { Listener } from "../engine/network.ts";
import type { SimProcess, Simulation } from "../engine/simulation.ts";
import type { End, EndUser, Wire } from "../engine/wire.ts";

interface OnRead {
  readonly buffer: Uint8Array | (() => Uint8Array);
  readonly callback: (bytes: number, buffer: Uint8Array) => boolean;
}

interface Options {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly allowHalfOpen?: boolean;
  readonly pauseOnConnect?: boolean;
  readonly onread?: OnRead;
  readonly handle?: Handle;
}

/** What acceptBulk takes over from an accepted socket. */
class Handle {
  readonly end: End;

  constructor(end: End) {
    this.end = end;
  }

  useUserBuffer(): void {}
}

type Written = (error?: Error) => void;

export class Socket extends EventEmitter implements EndUser {
  destroyed = false;
  allowHalfOpen: boolean;
  remoteAddress: string | undefined;
  remotePort: number | undefined;
  _handle: Handle | null = null;
  readonly #onread: OnRead | undefined;
  #buffer: Uint8Array | undefined;
  #end: End | undefined;
  /** Wants what comes. */
  #flows = false;
  #reading = false;
  #endTold = false;
  #ending = false;
  readonly #early: { readonly bytes: Uint8Array; readonly taken: (() => void) | undefined }[] = [];
  readonly #process: SimProcess;
  readonly #simulation: Simulation;

  constructor(options: Options = {}) {
    super();
    this.#simulation = here().simulation;
    this.#process = this.#simulation.current;
    this.allowHalfOpen = options.allowHalfOpen ?? false;
    this.#onread = options.onread;
    if (options.onread !== undefined) {
      const { buffer } = options.onread;
      this.#buffer = typeof buffer === "function" ? buffer() : buffer;
    }
    if (options.handle !== undefined) this.#take(options.handle.end);
  }

  /** For the server and `connect`. */
  adopt(end: End): void {
    this._handle = new Handle(end);
    this.#take(end);
  }

  #take(end: End): void {
    this.#end = end;
    end.user = this;
    this.remoteAddress = end.peer.process.host;
    this.remotePort = 1;
    for (const { bytes, taken } of this.#early.splice(0)) end.write(bytes, taken);
    if (this.#ending) end.end();
    this.#wake();
  }

  override on(event: string, listener: (...args: never[]) => void): this {
    super.on(event, listener as never);
    if (event === "data") this.resume();
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  pause(): this {
    this.#flows = false;
    return this;
  }

  resume(): this {
    this.#flows = true;
    this.#wake();
    return this;
  }

  readable(): void {
    this.#wake();
  }

  /** Reads in an event of its own, as the loop would. */
  #wake(): void {
    if (this.#reading || this.destroyed) return;
    this.#reading = true;
    this.#simulation.schedule(
      0,
      () => {
        this.#reading = false;
        this.#read();
      },
      this.#process,
    );
  }

  #read(): void {
    const end = this.#end;
    if (end === undefined || this.destroyed) return;
    if (end.reset && (this.#flows || end.writing)) return this.#fail("ECONNRESET");
    const { network } = here();
    while (this.#flows && end.inbox.length > 0 && !this.destroyed) {
      const [first] = end.inbox as [Uint8Array];
      const roomBytes = this.#buffer?.length ?? first.length;
      let count = Math.min(first.length, roomBytes);
      // Reads find any part of what was written.
      if (count > 1 && network.random.chance(0.3)) count = network.random.int(1, count);
      const piece = first.subarray(0, count);
      if (count === first.length) end.inbox.shift();
      else end.inbox[0] = first.subarray(count);
      end.consumed(count);
      this.#hand(piece);
    }
    if (!this.#flows || this.destroyed || !end.ended || this.#endTold || end.inbox.length > 0) return;
    this.#endTold = true;
    this.emit("end");
    if (!this.allowHalfOpen) this.end();
    this.#closeWhenBothEnded();
  }

  #hand(piece: Uint8Array): void {
    const onread = this.#onread;
    if (onread === undefined) {
      this.emit("data", Buffer.from(piece));
      return;
    }
    this.#buffer!.set(piece);
    const goesOn = onread.callback(piece.length, this.#buffer!);
    if (typeof onread.buffer === "function") this.#buffer = onread.buffer();
    if (goesOn === false) this.#flows = false;
  }

  write(bytes: Uint8Array, written?: Written): boolean {
    this.#write([bytes], written === undefined ? undefined : (error) => queueMicrotask(() => written(error)));
    return true;
  }

  _writev(chunks: readonly { readonly chunk: Uint8Array }[], written: Written): void {
    this.#write(
      chunks.map(({ chunk }) => chunk),
      written,
    );
  }

  /** As libuv does, what the kernel does not take at once is read later, from where it lies. */
  #write(parts: readonly Uint8Array[], written: Written | undefined): void {
    if (this.destroyed) return void written?.(new Error("EPIPE"));
    if (written !== undefined) this.#unwritten.add(written);
    let left = parts.length;
    const taken = (): void => {
      if (--left > 0 || written === undefined || !this.#unwritten.delete(written)) return;
      written();
    };
    if (left === 0) {
      left = 1;
      return taken();
    }
    if (this.#end?.reset) return this.#wake();
    for (const bytes of parts) {
      if (this.#end === undefined) this.#early.push({ bytes, taken });
      else this.#end.write(bytes, taken);
    }
    if (this.#end?.reset) this.#wake();
  }

  readonly #unwritten = new Set<Written>();

  end(): this {
    if (this.#ending) return this;
    this.#ending = true;
    this.#end?.end();
    this.#closeWhenBothEnded();
    return this;
  }

  #closeWhenBothEnded(): void {
    if (this.#ending && this.#endTold) this.destroy();
  }

  #fail(code: string): void {
    this.destroy(Object.assign(new Error(code), { code }));
  }

  destroy(error?: Error): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.#end?.close();
    const unwritten = [...this.#unwritten];
    this.#unwritten.clear();
    this.#simulation.schedule(
      0,
      () => {
        for (const written of unwritten) written(error ?? new Error("destroyed"));
        if (error !== undefined) this.emit("error", error);
        this.emit("close", error !== undefined);
      },
      this.#process,
    );
    return this;
  }

  /** The connection that was asked for. */
  connected(result: Wire | string): void {
    if (typeof result === "string") return this.#fail(result);
    if (this.destroyed) return result.client.close();
    this.adopt(result.client);
    this.emit("connect");
  }
}

export class Server extends EventEmitter implements Listener {
  readonly process: SimProcess;
  readonly #accepted: (socket: Socket) => void;
  readonly #options: Options;
  #address: string | undefined;
  #port = 0;

  constructor(options: Options, accepted: (socket: Socket) => void) {
    super();
    this.process = here().simulation.current;
    this.#options = options;
    this.#accepted = accepted;
  }

  listen(where: { readonly host: string; readonly port: number } | string, listening?: () => void): this {
    const { network, simulation } = here();
    if (typeof where === "string") this.#address = where;
    else {
      this.#port = where.port === 0 ? network.freePort() : where.port;
      this.#address = `${where.host}:${this.#port}`;
    }
    if (listening !== undefined) this.once("listening", listening);
    const free = network.listen(this.#address, this);
    simulation.schedule(0.1, () => {
      if (free) this.emit("listening");
      else this.emit("error", Object.assign(new Error("EADDRINUSE"), { code: "EADDRINUSE" }));
    });
    return this;
  }

  address(): { readonly port: number } {
    return { port: this.#port };
  }

  accept(wire: Wire): void {
    if (this.#address === undefined) return wire.server.close();
    const socket = new Socket({ allowHalfOpen: this.#options.allowHalfOpen ?? false });
    socket.adopt(wire.server);
    if (this.#options.pauseOnConnect !== true) socket.resume();
    this.#accepted(socket);
  }

  close(closed?: () => void): this {
    const { network, simulation } = here();
    if (this.#address !== undefined) network.unlisten(this.#address, this);
    this.#address = undefined;
    if (closed !== undefined) simulation.schedule(0, closed);
    return this;
  }

  unref(): this {
    return this;
  }
}

function createServer(options: Options, accepted: (socket: Socket) => void): Server {
  return new Server(options, accepted);
}

function connect(options: Options | string): Socket {
  const how = typeof options === "string" ? { path: options } : options;
  const { network, simulation } = here();
  const socket = new Socket(how);
  const address = how.path ?? `${how.host}:${how.port}`;
  network.connect(address, simulation.current.host, (result) => socket.connected(result));
  return socket;
}

function isIP(): number {
  return 4;
}

export { connect, connect as createConnection, createServer, isIP };
export default { Socket, Server, connect, createConnection: connect, createServer, isIP };
