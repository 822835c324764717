/** How far back a page must lie in the same block to be one of the next sweep, bytes. */
const BACK_BYTES_MIN = 1024 * 1024;

/**
 * Notices that QEMU has begun a new sweep over memory, from the order of the pages alone: QEMU goes through the blocks in
 * their order and through each one upwards, then from the start again.
 *
 * A hint, no fact. It is late when the new sweep's first dirty pages lie behind the old one's last; it misses a sweep
 * over less than 1 MiB; and QEMU's own count (`dirty-sync-count`) also grows in the middle of a sweep, whenever QEMU
 * asks for the dirty pages because few are left. Where QMP is at hand that count is better.
 */
export class PassWatch {
  /** Sweeps begun. */
  pass = 0;
  /** The furthest place of this sweep. */
  #block = 0;
  #offset = 0;

  /** A page, in the order of the stream. @returns whether it is the first of a new sweep; so it is of the very first page */
  tell(blockIndex: number, offset: number): boolean {
    const begins =
      this.pass === 0 ||
      blockIndex < this.#block ||
      (blockIndex === this.#block && this.#offset - offset > BACK_BYTES_MIN);
    if (begins) this.pass++;
    if (begins || blockIndex > this.#block || offset > this.#offset) {
      this.#block = blockIndex;
      this.#offset = offset;
    }
    return begins;
  }
}
