/** What one fuzzed surface did with all its inputs. */
export interface FuzzOutcome {
  readonly surface: string;
  readonly inputs: number;
  readonly rejected: number;
  readonly accepted: number;
  /** Inputs that crashed, hung, or got a forbidden byte through: each is kept as a file. */
  readonly findings: readonly { readonly input: string; readonly what: string }[];
}
