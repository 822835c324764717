/**
 * A fault of stock QEMU before 9.0 under TCG: where the length of a RAM block is a multiple of 64 pages, writes after the
 * first pass can be missed, and the guest arrives with old pages, whoever carries them: no digest of the stream can see a
 * page that QEMU never sent. What was measured on 7.2.22: docs/adr/0005-ram-length-under-tcg.md.
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
