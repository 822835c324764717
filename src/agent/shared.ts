/** A costly answer: who asks while it is being found gets the same one, so that asking often costs no more. */
export function shared<T>(find: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | null = null;
  return () => {
    running ??= find().finally(() => {
      running = null;
    });
    return running;
  };
}
