/** Who somebody is, as a certificate says it (docs/adr/0009-trust.md). */
export const KINDS = ["host", "viewer", "operator", "admin"] as const;
export type Kind = (typeof KINDS)[number];

export interface Identity {
  readonly kind: Kind;
  /** 1..64 of letters, digits, "-", "_", ".". */
  readonly name: string;
}
