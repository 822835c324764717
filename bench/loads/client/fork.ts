import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { GodwitError } from "../../../src/errors/mod.ts";
import type { LoadClient, LoadSite, Operations } from "../../types.ts";
import type { ClientEvent, ClientName, ClientOptions, ClientOrder } from "./messages.ts";

/** The server has to start and to be filled first, on a busy machine under TCG. */
const WARM_MS = 180_000;
const STOP_MS = 3_000;

/**
 * Starts the client in a process of its own, so that its latencies are not those of the runner's event loop. Resolves
 * when it is warm.
 * @throws BENCH_LOAD_FAILED with the client's reason, and then no process is left
 */
export async function forkClient(
  name: ClientName,
  { address, client: place }: NonNullable<LoadSite["network"]>,
): Promise<LoadClient> {
  const options: ClientOptions = { client: name, address };
  const [execPath, ...before] = place.argv([process.execPath]);
  // Where the place runs commands by a prefix, the first argument of the forked program is node itself.
  const child = fork(join(import.meta.dirname, "main.ts"), [JSON.stringify(options)], {
    execPath: execPath!,
    execArgv: before,
    serialization: "advanced", // typed arrays as they are
  });
  const exited = once(child, "exit").catch(() => undefined); // it never started: `error` says so
  const waiting = new Map<number, PromiseWithResolvers<Operations | null>>();
  const warm = Promise.withResolvers<void>();
  let failure: GodwitError | null = null;
  const fail = (reason: string): void => {
    failure ??= new GodwitError("BENCH_LOAD_FAILED", { load: name, reason });
    warm.reject(failure);
    for (const { reject } of waiting.values()) reject(failure);
    waiting.clear();
  };
  child.on("message", (message: ClientEvent) => {
    if (message.event === "warm") warm.resolve();
    else if (message.event === "failed") fail(message.reason);
    else {
      waiting.get(message.id)?.resolve(message.operations);
      waiting.delete(message.id);
    }
  });
  child.on("error", (error) => fail(error.message));
  child.on("exit", (code, signal) => fail(`its client ended: ${signal ?? code}`));
  let orders = 0;
  const order = async (what: ClientOrder["order"]): Promise<Operations | null> => {
    if (failure !== null) throw failure;
    const answer = Promise.withResolvers<Operations | null>();
    const id = orders++;
    waiting.set(id, answer);
    child.send({ id, order: what } satisfies ClientOrder);
    return answer.promise;
  };
  const end = async (): Promise<void> => {
    if (child.connected) child.disconnect();
    if (child.exitCode !== null || child.signalCode !== null) return;
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await exited;
    clearTimeout(late);
  };
  const late = setTimeout(() => fail(`it was not ready within ${WARM_MS} ms`), WARM_MS);
  try {
    await warm.promise;
  } catch (error) {
    await end();
    throw error;
  } finally {
    clearTimeout(late);
  }
  return {
    take: async () => (await order("take"))!,
    pause: async () => void (await order("pause")),
    resume: async () => void (await order("resume")),
    stop: end,
  };
}
