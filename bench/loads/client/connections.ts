import { setTimeout as sleep } from "node:timers/promises";
import { nowMs } from "../../clock.ts";
import type { Gate } from "./gate.ts";
import type { Recorder } from "./recorder.ts";

/** One connection to the server in the guest. Its loss is final: nothing connects again behind our back. */
export interface Connection {
  /** One request and its answer, checked. @throws when it is lost, or the answer is wrong */
  request(): Promise<void>;
  readonly lost: boolean;
  close(): void;
}

export interface LoopOptions {
  readonly connect: () => Promise<Connection>;
  readonly perSecond: number;
  readonly gate: Gate;
  readonly recorder: Recorder;
}

const RETRY_MS = 100;

/** Tries until there is a connection: the guest may still be booting. */
export async function connected(connect: () => Promise<Connection>): Promise<Connection> {
  for (;;) {
    try {
      return await connect();
    } catch {
      await sleep(RETRY_MS); // refused or unreachable so far; who started us knows how long to wait
    }
  }
}

/**
 * Requests on one connection, one after the other (closed loop), at most so many a second; time that was missed is not
 * made up for. A lost connection is counted, and a new one is made. Runs until the process ends.
 */
export async function requestLoop(first: Connection, options: LoopOptions): Promise<never> {
  const { gate, recorder } = options;
  const everyMs = 1000 / options.perSecond;
  let connection = first;
  let dueMs = nowMs() + Math.random() * everyMs; // connections shall not march in step
  for (;;) {
    if (dueMs > nowMs()) await sleep(dueMs - nowMs());
    await gate.enter();
    const beganMs = nowMs();
    dueMs = Math.max(dueMs, beganMs - everyMs) + everyMs;
    try {
      await connection.request();
      recorder.answered(beganMs);
    } catch (error) {
      recorder.requestLost();
      process.stderr.write(`a request was lost: ${(error as Error).message}\n`);
      await sleep(1); // what became of the connection is told after the request's own failure
    } finally {
      gate.leave();
    }
    if (!connection.lost) continue;
    recorder.connectionLost();
    connection.close();
    connection = await connected(options.connect);
  }
}
