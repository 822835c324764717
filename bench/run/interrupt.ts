/** Ctrl-C in the middle of anything: whatever is waited for is left where it is, and cleaning up begins. */

export class Interrupted extends Error {
  constructor() {
    super("the run was interrupted");
    this.name = "Interrupted";
  }
}

/**
 * What `work` comes to, or Interrupted as soon as `signal` says so. Then nobody waits for `work` any more: how it ends
 * after its processes were taken away says nothing.
 */
export async function orInterrupted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => undefined);
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(new Interrupted());
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
