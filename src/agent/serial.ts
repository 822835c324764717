import { createReadStream, existsSync, statSync, truncateSync } from "node:fs";
import { connect, type Socket } from "node:net";
import type { Logger } from "pino";
import { LineSplitter } from "../qemu/mod.ts";
import { Beats } from "./beats.ts";
import { Oracle, parseConsoleLine } from "./console.ts";
import type { Beat, BeatWindow, Clock, OracleFigures, SerialWatch } from "./context.ts";

const LINE_BYTES_MAX = 4096;
/** QEMU appends for as long as the VM runs; at a heartbeat each 10 ms that is 170 MB a day. */
const LOG_BYTES_MAX = 16 * 2 ** 20;
const LOG_CHECK_MS = 60_000;
/** The report of the move that ended with the guest's going, or of the one before, may still ask for its beats. */
const BEATS_REST_MS = 30_000;

/** The path of the console's socket and of the log that QEMU keeps of it. */
export interface SerialPaths {
  readonly socket: string;
  readonly log: string;
}

/** Reads a VM's serial console as long as the VM lives: heartbeats with their times, the oracle's words. */
export class Serial implements SerialWatch {
  readonly #beats = new Beats();
  readonly #oracle = new Oracle();
  readonly #clock: Clock;
  readonly #socket: Socket;
  readonly #lines = new LineSplitter(LINE_BYTES_MAX);
  readonly #logCheck: NodeJS.Timeout;

  private constructor(paths: SerialPaths, clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#socket = connect(paths.socket);
    this.#socket.on("data", (chunk: Buffer) => this.#read(chunk));
    this.#socket.on("error", (error) =>
      log.warn({ err: error, path: paths.socket }, "serial console not watched"),
    );
    this.#logCheck = setInterval(() => cutLog(paths.log, log), LOG_CHECK_MS);
    this.#logCheck.unref();
  }

  /** Starts to watch. With `past` what the log already holds is counted too (an agent that came back). */
  static async open(
    paths: SerialPaths,
    clock: Clock,
    log: Logger,
    options: { past: boolean },
  ): Promise<Serial> {
    const bytes = options.past && existsSync(paths.log) ? statSync(paths.log).size : 0;
    const serial = new Serial(paths, clock, log);
    if (bytes > 0) await serial.#readPast(paths.log, bytes);
    return serial;
  }

  get oracle(): OracleFigures {
    return this.#oracle;
  }

  get beats(): number {
    return this.#beats.total;
  }

  get lastBeat(): Beat | null {
    return this.#beats.last;
  }

  beatsSince(monoMs: number): Beat[] {
    return this.#beats.since(monoMs);
  }

  openWindow(): BeatWindow {
    return this.#beats.openWindow(this.#clock.monoMs());
  }

  send(text: string): void {
    this.#socket.write(text);
  }

  close(): void {
    clearInterval(this.#logCheck);
    this.#socket.destroy();
    // Moves that have ended are remembered, and their VMs with them: 100 times 6 MB of beats would be too much.
    setTimeout(() => this.#beats.forget(), BEATS_REST_MS).unref();
  }

  #read(chunk: Buffer): void {
    // One time for the whole chunk: what came together was waiting together.
    const monoMs = this.#clock.monoMs();
    const wallMs = this.#clock.wallMs();
    for (const text of this.#lines.push(chunk)) {
      const line = parseConsoleLine(text);
      if (line.kind === "beat") this.#beats.add({ seq: line.seq, guestMs: line.guestMs, wallMs, monoMs });
      else this.#oracle.see(line);
    }
  }

  /** The times of past beats are not known, so only the oracle's lines count. */
  async #readPast(path: string, bytes: number): Promise<void> {
    const lines = new LineSplitter(LINE_BYTES_MAX);
    for await (const chunk of createReadStream(path, { end: bytes - 1 })) {
      for (const line of lines.push(chunk as Buffer)) this.#oracle.see(parseConsoleLine(line));
    }
  }
}

/** QEMU opened its log for appending, so it goes on at the new end. */
function cutLog(path: string, log: Logger): void {
  try {
    if (statSync(path).size > LOG_BYTES_MAX) truncateSync(path);
  } catch (error) {
    log.debug({ err: error, path }, "serial log not cut");
  }
}
