/** Two ends of a real link on loopback, with a line between them that can be cut or go silent. */
import { EventEmitter, once } from "node:events";
import net from "node:net";
import type { GodwitError } from "../../src/errors/mod.ts";
import {
  Arena,
  connectLink,
  type Link,
  type LinkEvent,
  type LinkHandler,
  type LinkOptions,
  type LinkServer,
  listenLink,
  type ReceivedFrame,
} from "../../src/link/mod.ts";
import type { DataKind } from "../../src/wire/mod.ts";

const MIB = 1024 * 1024;

export function options(more: Partial<LinkOptions> = {}): LinkOptions {
  return {
    host: "127.0.0.1",
    port: 0,
    ticket: "swordfish",
    greeting: new Uint8Array(0),
    insecure: false,
    reconnectForMs: 5000,
    bandwidthBytesPerSec: 0,
    arena: new Arena(new Uint8Array(12 * MIB), MIB),
    ...more,
  };
}

/** Keeps what it is told. Releases at once unless `keep`. */
export class Recorder implements LinkHandler {
  readonly frames: { kind: DataKind; bytes: Buffer }[] = [];
  readonly kept: ReceivedFrame[] = [];
  readonly states: string[] = [];
  readonly #ended = Promise.withResolvers<GodwitError | undefined>();
  keep = false;
  endedTimes = 0;
  drained = 0;
  readonly changes = new EventEmitter();

  frame(frame: ReceivedFrame): void {
    this.frames.push({ kind: frame.kind, bytes: Buffer.from(frame.payload) });
    if (this.keep) this.kept.push(frame);
    else frame.release();
    this.changes.emit("change");
  }
  drain(): void {
    this.drained++;
    this.changes.emit("change");
  }
  connection(state: "lost" | "resumed"): void {
    this.states.push(state);
    this.changes.emit("change");
  }
  ended(error: GodwitError | undefined): void {
    this.endedTimes++;
    this.#ended.resolve(error);
  }
  /** Why the session ended; undefined when in order. */
  get outcome(): Promise<GodwitError | undefined> {
    return this.#ended.promise;
  }
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this.changes, "change");
  }
}

export class Pair {
  readonly events: LinkEvent[] = [];
  readonly source = new Recorder();
  readonly target = new Recorder();
  readonly targetOptions: LinkOptions;
  sourceOptions: LinkOptions;
  server!: LinkServer;
  line: Line | undefined;
  link!: Link;
  targetLink!: Link;
  #offered = 0;

  constructor(source: Partial<LinkOptions> = {}, target: Partial<LinkOptions> = {}) {
    this.targetOptions = options({ log: (event) => this.events.push(event), ...target });
    this.sourceOptions = options(source);
  }

  async listen({ line = false } = {}): Promise<this> {
    this.server = await listenLink(this.targetOptions, ({ link }) => {
      this.#offered++;
      this.targetLink = link;
      return this.target;
    });
    if (line) this.line = await Line.open(this.server.port);
    this.sourceOptions = { ...this.sourceOptions, port: this.line?.port ?? this.server.port };
    return this;
  }

  async open(how: { line?: boolean } = {}): Promise<this> {
    await this.listen(how);
    ({ link: this.link } = await connectLink(this.sourceOptions, this.source));
    return this;
  }

  get sessions(): number {
    return this.#offered;
  }

  get arenasFree(): boolean {
    const { source, target } = { source: this.sourceOptions.arena, target: this.targetOptions.arena };
    return source.freeChunks === source.chunks && target.freeChunks === target.chunks;
  }

  async close(): Promise<void> {
    await this.line?.close();
    await this.server.close();
  }
}

/** Forwards TCP to a port. */
export class Line {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  forwardedBytes = 0;
  /** Sees all that goes to the target. */
  saw: (bytes: Buffer) => void = () => undefined;
  /** Cuts once when so many bytes have gone to the target. */
  cutAtBytes = Number.POSITIVE_INFINITY;
  /** Takes connections and bytes, and forwards nothing. */
  silent = false;
  refuses = false;
  /** Cuts in place of so many next answers of the target. */
  loseAnswers = 0;

  private constructor(server: net.Server) {
    this.#server = server;
  }

  static async open(port: number): Promise<Line> {
    const server = net.createServer((near) => {
      if (line.refuses) {
        near.resetAndDestroy();
        return;
      }
      const far = net.connect(port, "127.0.0.1");
      line.#join(near, far, (bytes) => {
        line.forwardedBytes += bytes.length;
        line.saw(bytes);
        if (line.forwardedBytes < line.cutAtBytes) return;
        line.cutAtBytes = Number.POSITIVE_INFINITY;
        line.cut();
      });
      line.#join(
        far,
        near,
        () => undefined,
        () => {
          if (line.loseAnswers === 0) return true;
          line.loseAnswers--;
          line.cut();
          return false;
        },
      );
    });
    const line = new Line(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return line;
  }

  #join(from: net.Socket, to: net.Socket, passed: (bytes: Buffer) => void, passes = () => true): void {
    this.#sockets.add(from);
    from.on("data", (bytes) => {
      if (this.silent || !passes()) return;
      if (!to.write(bytes)) {
        from.pause();
        to.once("drain", () => from.resume());
      }
      passed(bytes as Buffer);
    });
    from.on("end", () => {
      if (!this.silent) to.end();
    });
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.#sockets.delete(from);
      if (!this.silent) to.destroy();
    });
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Resets all connections; what is under way is lost. */
  cut(): void {
    // Node leaks the handle, and spins at its exit, when a socket is reset that is shutting down (seen on 26.10).
    for (const socket of this.#sockets) if (!socket.writableEnded) socket.resetAndDestroy();
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.refuses = true;
    this.cut();
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
  }
}
