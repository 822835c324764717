import { closeSync, openSync, readSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError } from "../../src/errors/mod.ts";
import { GuestOracle } from "../guest/mod.ts";

const POLL_MS = 10;
const READ_BYTES = 64 * 1024;

/** Reads the consoles of one guest, files on the hosts where it has been, in the order of its moves. */
export class GuestConsole {
  readonly oracle = new GuestOracle();
  readonly #files: { readonly path: string; offset: number }[] = [];
  readonly #timer = setInterval(() => this.#read(), POLL_MS);
  readonly #buffer = Buffer.alloc(READ_BYTES);

  /** From now on the guest may also print here: a file that is not there yet. */
  follow(path: string): void {
    this.#files.push({ path, offset: 0 });
  }

  /** The guest has left for the newest place: what it printed elsewhere has all been read. */
  moved(): void {
    this.#read();
    this.#files.splice(0, this.#files.length - 1);
  }

  /** The guest stays where it was. */
  stayed(): void {
    this.#read();
    this.#files.pop();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /**
   * Waits until the oracle has something to say.
   * @throws GUEST_CORRUPT at once when it is bad; GUEST_SILENT when the time is over; the signal's reason
   */
  async until(what: {
    readonly is: (oracle: GuestOracle) => boolean;
    readonly host: string;
    readonly withinMs: number;
    readonly signal: AbortSignal;
  }): Promise<void> {
    const deadlineMs = performance.now() + what.withinMs;
    while (!what.is(this.oracle)) {
      this.refuseFaults(what.host);
      if (performance.now() > deadlineMs)
        throw new GodwitError("GUEST_SILENT", {
          vm: "the lab guest",
          host: what.host,
          status: "nothing",
          afterMs: what.withinMs,
        });
      await sleep(POLL_MS, undefined, { signal: what.signal });
    }
    this.refuseFaults(what.host);
  }

  /** @throws GUEST_CORRUPT */
  refuseFaults(host: string): void {
    const [line] = this.oracle.faults;
    if (line !== undefined) throw new GodwitError("GUEST_CORRUPT", { vm: "the lab guest", host, line });
  }

  #read(): void {
    for (const file of this.#files) {
      const fd = openIfThere(file.path);
      if (fd === undefined) continue;
      try {
        for (;;) {
          const bytes = readSync(fd, this.#buffer, 0, READ_BYTES, file.offset);
          if (bytes === 0) break;
          file.offset += bytes;
          this.oracle.feed(this.#buffer.toString("latin1", 0, bytes), performance.now());
        }
      } finally {
        closeSync(fd);
      }
    }
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return undefined; // its QEMU has not been started
  }
}
