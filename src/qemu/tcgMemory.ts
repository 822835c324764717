/**
 * A fault of stock QEMU before 9.0 under TCG: where the length of a RAM block is a multiple of 64 pages, the dirty bitmap
 * is read in a way that does not tell TCG's own lookaside buffers. Writes after the first pass can then be missed, and
 * the guest arrives with old pages, whoever carries them: no digest of the stream can see a page that QEMU never sent.
 * Seen on 7.2.22: 6 of 6 multi-pass moves damaged with 192 MiB, none of 10 with 192 MiB and 8 KiB.
 */
const HARMFUL_BYTES = 64 * 4096;
/** QEMU rounds RAM up to this. */
const STEP_BYTES = 8192;

/** Whether this QEMU loses a guest's writes when it migrates RAM of this length live. */
export function losesWrites(at: { accel: "kvm" | "tcg"; qemuVersion: string; memoryBytes: number }): boolean {
  const major = Number(at.qemuVersion.split(".")[0]);
  return at.accel === "tcg" && major < 9 && at.memoryBytes % HARMFUL_BYTES === 0;
}

/** The next length that moves rightly: 8 KiB more where it is needed. */
export function safeMemoryBytes(at: {
  accel: "kvm" | "tcg";
  qemuVersion: string;
  memoryBytes: number;
}): number {
  return losesWrites(at) ? at.memoryBytes + STEP_BYTES : at.memoryBytes;
}
