import type { Random } from "./random.ts";

/** What one fuzzed surface did with all its inputs. */
export interface FuzzOutcome {
  readonly surface: string;
  readonly inputs: number;
  readonly rejected: number;
  readonly accepted: number;
  /** Inputs that crashed, hung, or got a forbidden byte through: each is kept as a file. */
  readonly findings: readonly { readonly input: string; readonly what: string }[];
}

/** Whether anything of the input was refused by name. */
export type Verdict = "accepted" | "rejected";

/** A door that bytes of others come in by. */
export interface Surface {
  readonly name: string;
  /** Share of all inputs. */
  readonly weight: number;
  /** Inputs to begin with, made once. */
  readonly seeds: () => readonly Uint8Array[];
  /**
   * Gives one input in. The input alone decides everything: what else is needed (where it is cut) is drawn from it.
   * Throws whatever is a finding: a crash, or what the surface's own checks say.
   */
  readonly run: (input: Uint8Array) => Verdict;
  /** Changes that know the input's structure; beside those of bytes. */
  readonly mutate?: (input: Uint8Array, random: Random) => Uint8Array;
}
