/** The seams between the parts of the page engine. Page numbers count through all blocks (`PageNumbers`). */

/**
 * The versions that the target has, kept alike on both sides. Only what is *sent* changes it, in the order of sending,
 * through these calls; which page makes room is decided from earlier calls alone. So the same calls give the same slots
 * on both sides (ADR 0006). Addresses are in the kernels' memory; 0 means none.
 */
export interface PageStore {
  /** Pages that can be kept at once; 0: the store is off. */
  readonly slots: number;
  /** What is in use, bytes of whole pages. */
  readonly usedBytes: number;
  /** Where the version of this page lies that the target has; 0 when it is not kept. */
  at(page: number): number;
  /** The target has zeros there, and was told so. */
  isZero(page: number): boolean;
  /** How often the page was sent with content, lately: 0..7. */
  sends(page: number): number;
  /** A page of zeros was sent. */
  zero(page: number): void;
  /**
   * Content was sent. @returns where its 4096 bytes must be written at once (the same place as before when the page is
   * kept already), or 0 when it is not worth a slot: then the page is not kept any more.
   * A base that the caller still needs may be evicted by this call: it is read before.
   */
  put(page: number): number;
  /** The page was sent in a way that leaves no copy here (as QEMU's record). */
  forget(page: number): void;
}

/** Finds pages by content, at the source: a hint that the caller verifies. */
export interface ContentIndex {
  /** A page that had this hash when it was last noted, or -1. */
  find(lo: number, hi: number): number;
  note(page: number, lo: number, hi: number): void;
}

/** A batch of entries that is being written: the body of one `pages` frame (docs/wire.md). */
export interface BatchSize {
  readonly bytes: number;
  readonly entries: number;
  /** The most that the target's QEMU will be given for it (`outputBytes` of src/wire). */
  readonly outputBytes: number;
}

/** One version of a page as the source read it. */
export interface PageVersion {
  readonly page: number;
  /** Of its 4096 bytes in the kernels' memory; 0: zeros. */
  readonly address: number;
  /** Seeded XXH3 of the content, halves as int32 or u32. */
  readonly lo: number;
  readonly hi: number;
}

/**
 * Judges how soon a version should leave; `Holding` does the rest and never forgets one, whatever a policy says. Pure: it
 * is told passes, never asks a clock. One instance serves one migration.
 */
export interface Policy {
  /** Whether those that wait may leave as soon as the link has nothing else to do; if not, waiting is what saves bytes. */
  readonly leavesWhenIdle: boolean;
  /** A new sweep of QEMU over memory has begun; the first is 1. */
  pass(pass: number): void;
  /** So many versions can wait at once from now on. */
  room(slots: number): void;
  /**
   * A version of this page was read (zeros included).
   * @returns 0: it leaves at once; 1..RANK_MAX: it waits, and of those that wait the lowest ranks leave first
   */
  rank(page: number): number;
}

/** The highest rank of a version that waits. */
export const RANK_MAX = 255;
