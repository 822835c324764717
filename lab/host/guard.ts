/** What is still to be undone, for the last resort at the end of this process. */
const pending = new Set<() => void>();
let guarded = false;

/**
 * Runs `undo` when this process ends, whatever ends it but SIGKILL. It has to be synchronous.
 * @returns takes it back: called by who has undone it in time
 */
export function atEnd(undo: () => void): () => void {
  guard();
  pending.add(undo);
  return () => void pending.delete(undo);
}

function guard(): void {
  if (guarded) return;
  guarded = true;
  process.on("exit", () => {
    // the newest first: what was made later may stand on what was made before
    for (const undo of [...pending].reverse()) undo();
  });
  for (const [signal, number] of [
    ["SIGINT", 2],
    ["SIGTERM", 15],
    ["SIGHUP", 1],
  ] as const) {
    process.on(signal, () => {
      // with a handler of the program's own, that one decides when to end; alone, this is the default
      if (process.listenerCount(signal) === 1) process.exit(128 + number);
    });
  }
}
