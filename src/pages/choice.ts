import { PAGE_BYTES } from "../../kernels/types.ts";
import type { Engine } from "./engines.ts";

/** What the encoder tries for a page that is neither unchanged nor known elsewhere, in this order; 0: not tried. */
export interface Choice {
  /** The longest delta that is taken. */
  readonly deltaBytesMax: number;
  /** The longest sparse body that is taken. */
  readonly sparseBytesMax: number;
  /** Sparse is tried only for a page with so many zero bytes; 0: the length of the body alone decides. */
  readonly zeroBytesMin: number;
  /** The longest body of WKdm that is taken. */
  readonly wkdmBytesMax: number;
}

/** A body of this length, with its own length before it, is still shorter than the page. */
const SHORTER_BYTES_MAX = PAGE_BYTES - 3;
/**
 * Half a page. Below it a delta always packed better than the page itself (pages of a guest rewritten in part, in grains
 * of 8, 64 and 512 bytes, by content of its other pages): 1 245 bytes against 1 762 where they are closest. A page of
 * text that is rewritten whole makes a delta of 3 100 bytes, which packs into 1 131, the page itself into 742.
 */
const DELTA_BYTES_MAX = PAGE_BYTES / 2;
/**
 * About the bodies of pages with 80 % of zero bytes. To zstd it makes no difference in bytes (within 0.1 %), but there
 * is less for it to read; from 40 % of data on it costs bytes (0.4 %).
 */
const SPARSE_BYTES_MAX = 1023;
/** MECOM's first class: pages of mostly zeros. */
const MECOM_ZERO_BYTES_MIN = Math.ceil(0.8 * PAGE_BYTES);
/**
 * MECOM's second class, pages with many words alike: with a quarter of misses, the rest partial, a body has 256 + 1024 +
 * 960 + 384 bytes.
 */
const MECOM_WKDM_BYTES_MAX = 2624;
/** Where nothing is packed afterwards, a quarter of a page is worth WKdm's time. */
const WKDM_BYTES_MAX = (PAGE_BYTES * 3) / 4;

/**
 * What an engine tries, by whether zstd packs the batch. WKdm is for batches that leave as they are: before zstd it costs
 * up to 18 % of the bytes (figures: docs/encodings.md, "Which form a page gets").
 */
export function choiceOf(engine: Engine, packed: boolean): Choice {
  const { forms } = engine;
  const by = (form: "delta" | "sparse" | "wkdm", bytesMax: number): number =>
    forms.has(form) ? bytesMax : 0;
  switch (engine.name) {
    case "mecom":
      return {
        deltaBytesMax: 0,
        sparseBytesMax: by("sparse", SHORTER_BYTES_MAX),
        zeroBytesMin: MECOM_ZERO_BYTES_MIN,
        wkdmBytesMax: by("wkdm", MECOM_WKDM_BYTES_MAX),
      };
    case "xbrle":
      return {
        deltaBytesMax: by("delta", SHORTER_BYTES_MAX),
        sparseBytesMax: 0,
        zeroBytesMin: 0,
        wkdmBytesMax: 0,
      };
    default:
      return {
        deltaBytesMax: by("delta", DELTA_BYTES_MAX),
        sparseBytesMax: by("sparse", SPARSE_BYTES_MAX),
        zeroBytesMin: 0,
        wkdmBytesMax: packed ? 0 : by("wkdm", WKDM_BYTES_MAX),
      };
  }
}
