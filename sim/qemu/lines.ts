/** A QEMU's migration socket: writing that waits for the kernel, as its own thread does. */
import { connect, type Socket } from "../standins/net.ts";

/** The connection of a migration was lost, or cancelled. */
export class Torn extends Error {}

export class Line {
  readonly #socket: Socket;
  #torn = false;
  readonly #waiting = new Set<(error: Error) => void>();
  readonly #onBytes: (bytes: Uint8Array) => void;
  readonly #onEnd: () => void;

  /**
   * @param onEnd  the peer has closed, or the connection is torn; once
   */
  constructor(socket: Socket, onBytes: (bytes: Uint8Array) => void, onEnd: () => void) {
    this.#socket = socket;
    this.#onBytes = onBytes;
    this.#onEnd = onEnd;
    socket.on("data", (bytes: Buffer) => {
      if (!this.#torn) this.#onBytes(bytes);
    });
    socket.on("error", () => undefined);
    socket.on("end", () => this.#ended());
    socket.on("close", () => this.#ended());
  }

  static connect(path: string): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ path, allowHalfOpen: true });
      socket.once("connect", () => resolve(socket));
      socket.once("error", reject);
    });
  }

  /** Resolves when the kernel has it. @throws Torn */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#torn) return reject(new Torn());
      this.#waiting.add(reject);
      this.#socket._writev([{ chunk: bytes }], (error) => {
        if (!this.#waiting.delete(reject)) return;
        if (error === undefined) resolve();
        else reject(new Torn());
      });
    });
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  get torn(): boolean {
    return this.#torn;
  }

  close(): void {
    this.#tear();
    this.#socket.destroy();
  }

  #ended(): void {
    if (this.#torn) return;
    this.#tear();
    this.#socket.destroy();
    this.#onEnd();
  }

  #tear(): void {
    this.#torn = true;
    for (const reject of [...this.#waiting]) reject(new Torn());
    this.#waiting.clear();
  }
}
