/** 32 random bits at a time (xorshift, Marsaglia 2003), of a seed other than 0: each run asks for the same things. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}
