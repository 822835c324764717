/** Records of 9 bytes (a page of zeros) in a frame's payload, and some. */
const PAGES_MAX = 16_384;

/**
 * The pages of one run of records, told in two steps: first where and what they are, then their hashes. Reused from run to
 * run: nothing is allocated per page.
 */
export class Run {
  /** Page numbers. */
  readonly numbers = new Int32Array(PAGES_MAX);
  /** 1: the record is one of zeros. */
  readonly zeros = new Uint8Array(PAGES_MAX);
  /** 1: a new sweep over memory begins here. */
  readonly sweeps = new Uint8Array(PAGES_MAX);
  /** In the kernels' memory; 0: zeros. */
  readonly addresses = new Int32Array(PAGES_MAX);
  readonly lo = new Int32Array(PAGES_MAX);
  readonly hi = new Int32Array(PAGES_MAX);
  /** Of the version before. */
  readonly oldLo = new Int32Array(PAGES_MAX);
  readonly oldHi = new Int32Array(PAGES_MAX);
  /** Pages told, and how many of them are hashed. */
  count = 0;
  hashed = 0;
  zeroCount = 0;
  /** It holds pages whose content is not at hand: encoded by QEMU. */
  odd = false;

  page(number: number, zero: boolean, sweep: boolean): void {
    const at = this.count++;
    this.numbers[at] = number;
    this.zeros[at] = zero ? 1 : 0;
    this.sweeps[at] = sweep ? 1 : 0;
    if (zero) this.zeroCount++;
  }

  hash(address: number, lo: number, hi: number, oldLo: number, oldHi: number): void {
    const at = this.hashed++;
    this.addresses[at] = address;
    this.lo[at] = lo;
    this.hi[at] = hi;
    this.oldLo[at] = oldLo;
    this.oldHi[at] = oldHi;
  }

  reset(): void {
    this.count = 0;
    this.hashed = 0;
    this.zeroCount = 0;
    this.odd = false;
  }
}
