/** What a seed of the simulation ends in. */
export interface SeedOutcome {
  readonly seed: number;
  /** The name of the broken invariant; null: all held. */
  readonly broken: string | null;
  /** Of the step at which it broke, or the last. */
  readonly atStep: number;
}
