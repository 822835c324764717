import type { Kind } from "./identity.ts";

/** Whom one end wants at the other. */
export interface Expected {
  readonly kinds: readonly Kind[];
  /** Exactly this one. Without it: of hosts, any in `peers`; of people, anybody with such a certificate. */
  readonly name?: string | undefined;
}

/** Any host that the folder's `peers` names. */
export const ANY_HOST: Expected = { kinds: ["host"] };
