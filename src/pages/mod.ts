export { BATCH_BYTES_MIN } from "./batchWriter.ts";
export { HashedIndex, type IndexOptions } from "./contentIndex.ts";
export { type DecodedPages, PageDecoder } from "./decoder.ts";
export {
  type ComparedTotal,
  type DigestTotal,
  type Hash64,
  PageDigest,
  sameTotal,
  totalText,
} from "./digest.ts";
export { Offer, PageEncoder } from "./encoder.ts";
export {
  ENGINE_NAMES,
  ENGINES,
  type Engine,
  type EngineName,
  PAGE_FORMS,
  type PageForm,
  POLICY_NAMES,
  type PolicyName,
} from "./engines.ts";
export type { PagesBody } from "./entryReader.ts";
export type { EngineFigures } from "./figures.ts";
export { type HashedPage, PageHasher, zeroPageHash } from "./hasher.ts";
export { Holding, type HoldRegion, type SendVersion } from "./hold.ts";
export { PageNumbers } from "./numbers.ts";
export { ENTRY_RULES, type EntryRule, PagesFault } from "./pagesFault.ts";
export { PassWatch } from "./passes.ts";
export { makePolicy, type PolicyScope } from "./policies/mod.ts";
export { SlottedStore, type StoreRegion } from "./store.ts";
export type { BatchSize, ContentIndex, PageStore, PageVersion, Policy } from "./types.ts";
