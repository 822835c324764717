/** Node's own, before anything is put into its place (install.ts imports this first). */
const { setImmediate: own } = globalThis;

/** Once around Node's own loop. */
export function realTurn(): Promise<void> {
  return new Promise((resolve) => {
    own(resolve);
  });
}
