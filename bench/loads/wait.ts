import { GodwitError } from "../../src/errors/mod.ts";
import type { HomeGuest } from "../types.ts";

/**
 * Waits for a line of the guest's console that matches.
 * @throws BENCH_LOAD_FAILED when the load says that it is broken, or nothing comes in time
 */
export async function waitForLine(
  guest: HomeGuest,
  load: string,
  wanted: RegExp,
  timeoutMs: number,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (reason: string): void => reject(new GodwitError("BENCH_LOAD_FAILED", { load, reason }));
  const late = setTimeout(() => fail(`it was not ready within ${timeoutMs} ms`), timeoutMs);
  const off = guest.onLine((line) => {
    if (wanted.test(line)) resolve();
    const failure = failureIn(load, line);
    if (failure !== null) fail(failure);
  });
  try {
    await promise;
  } finally {
    clearTimeout(late);
    off();
  }
}

/** Why the load in the guest is over, as it says itself; null: this line does not say so. */
export function failureIn(load: string, line: string): string | null {
  const own = `L ${load} E `;
  if (line.startsWith(own)) return line.slice(own.length);
  return line.startsWith("E load: ") || line.startsWith("E network: ") ? line : null;
}
