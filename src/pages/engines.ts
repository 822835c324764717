/**
 * The page engines by name, as data: which forms of a page each may use, in which order it sends, and why it exists. How the
 * engines of the literature differ from their papers: docs/policies.md.
 */

/** The forms in which one version of a page crosses the link (docs/encodings.md; numbers: docs/wire.md). */
export const PAGE_FORMS = ["zero", "same", "delta", "sparse", "wkdm", "raw"] as const;
export type PageForm = (typeof PAGE_FORMS)[number];

export const ENGINE_NAMES = ["auto", "plain", "clark", "mecom", "xbrle", "reuse"] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

export const POLICY_NAMES = ["auto", "stream", "rapid", "weight", "reuse"] as const;
/** In which order, and whether, versions leave (policies/mod.ts). `auto`: what the engine's entry below says. */
export type PolicyName = (typeof POLICY_NAMES)[number];

export interface Engine {
  readonly name: EngineName;
  /** Forms besides `raw` and `zero`, which every engine has. */
  readonly forms: ReadonlySet<PageForm>;
  /** Whether batches are packed by zstd: at the level that the link asks for, at one level, or not at all. */
  readonly packing: "adaptive" | "none" | { readonly level: number };
  readonly policy: Exclude<PolicyName, "auto">;
  /** Versions equal to what the target has need not cross. */
  readonly skipsUnchanged: boolean;
}

const forms = (...names: PageForm[]): ReadonlySet<PageForm> => new Set(names);

/** `plain` is no engine at all: QEMU's records leave as they came. */
export const ENGINES: { readonly [N in Exclude<EngineName, "plain">]: Engine } = {
  auto: {
    name: "auto",
    // WKdm only where zstd does not follow (choice.ts).
    forms: forms("same", "delta", "sparse", "wkdm"),
    packing: "adaptive",
    policy: "stream",
    skipsUnchanged: true,
  },
  /** Clark et al., NSDI 2005: pages as they are; one that is dirty again is skipped. The rate is the agent's business. */
  clark: { name: "clark", forms: forms(), packing: "none", policy: "rapid", skipsUnchanged: false },
  /** Jin et al., CLUSTER 2009: pages of mostly zeros by place and value, regular ones by WKdm, the rest by a general codec. */
  mecom: {
    name: "mecom",
    forms: forms("sparse", "wkdm"),
    packing: { level: 1 },
    policy: "stream",
    skipsUnchanged: false,
  },
  /** Svard et al., VEE 2011 and CloudCom 2011: deltas against a cache, pages written more often go later. */
  xbrle: { name: "xbrle", forms: forms("delta"), packing: "none", policy: "weight", skipsUnchanged: false },
  /** Alamdari and Zamanifar: pages that will soon be written again wait. */
  reuse: { name: "reuse", forms: forms(), packing: "none", policy: "reuse", skipsUnchanged: false },
};
