import type { PolicyName } from "../engines.ts";
import type { Policy } from "../types.ts";
import { RapidPolicy } from "./rapid.ts";
import { ReusePolicy } from "./reuse.ts";
import { WeightPolicy } from "./weight.ts";

/** What a policy may know of the guest and of the room that there is. */
export interface PolicyScope {
  readonly totalPages: number;
  /** Versions that can wait at once, at most. */
  readonly slots: number;
}

type Named = Exclude<PolicyName, "auto">;

const POLICIES: { readonly [N in Named]: (scope: PolicyScope) => Policy | undefined } = {
  stream: () => undefined,
  rapid: () => new RapidPolicy(),
  weight: ({ totalPages }) => new WeightPolicy(totalPages),
  reuse: ({ totalPages, slots }) => new ReusePolicy(totalPages, slots),
};

/** The policy of this name, or undefined for stream order: nothing waits. `auto` is the engine's to resolve. */
export function makePolicy(name: Named, scope: PolicyScope): Policy | undefined {
  return POLICIES[name](scope);
}
