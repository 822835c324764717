/**
 * The memory of a lab guest under TCG, as QEMU's `-m` wants it: `MIB` MiB and 8 KiB more.
 *
 * Before QEMU 9.0 a guest whose RAM block is a multiple of 64 pages long arrives damaged from moves of several passes,
 * without any product in the path; with another length it arrives whole. What was measured, and what is only our reading
 * of the cause: docs/adr/0005-ram-length-under-tcg.md.
 */
export function tcgMemory(mib: number): string {
  return `${mib * 1024 + 8}K`;
}
