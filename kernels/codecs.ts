/**
 * The encodings of a page and their ways back. Formats: docs/encodings.md.
 *
 * Encoders: `out` has no byte in common with a page that is read. They return the length of the body, at least 1, or 0
 * when it would be longer than `outMax`. Nothing beyond `outMax` is ever written; what lies between the returned length
 * and `outMax`, or all of it after a 0, may have been overwritten.
 *
 * Decoders: `body` may hold anything a peer sent. It is judged whole first, then the page is written. They return 0, or
 * the number of the rule that the body breaks (`kernelRule` names it): then nothing was written. They read nothing
 * outside body and base and write nothing outside the page. `page` has no byte in common with the body.
 */
export interface PageCodecs {
  /**
   * What changed in `page` against `base`, run by run. After QEMU's XBZRLE (docs/devel/migration), in a format of ours.
   * Equal pages make a body of 2 bytes.
   */
  deltaEncode(base: number, page: number, out: number, outMax: number): number;
  /** Base and body make `page`. `base` and `page` are the same address (patch in place) or share no byte. */
  deltaDecode(body: number, bytes: number, base: number, page: number): number;
  /** The words of 32 bits that are not zero with their places; after MECOM (Jin et al., CLUSTER 2009). */
  sparseEncode(page: number, out: number, outMax: number): number;
  sparseDecode(body: number, bytes: number, page: number): number;
  /**
   * Words against a dictionary of the 16 last unlike ones: Wilson, Kaplan and Smaragdakis, "The Case for Compressed
   * Caching in Virtual Memory Systems", USENIX 1999.
   */
  wkdmEncode(page: number, out: number, outMax: number): number;
  wkdmDecode(body: number, bytes: number, page: number): number;
}

/** The longest body of a delta: what a page with runs of 144 bytes and gaps of 2 makes. */
export const DELTA_BYTES_MAX = 4126;
/** The longest sparse body: no word is below 2^24. */
export const SPARSE_BYTES_MAX = 5120;
/** The longest body of WKdm: no word is like another. */
export const WKDM_BYTES_MAX = 4352;
