/** A broken rule of our own code: a bug, never an expected failure. Stays on in production. */
export class InvariantBroken extends Error {
  override readonly name = "InvariantBroken";
}

export function assert(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new InvariantBroken(rule);
}
