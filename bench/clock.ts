/** One clock for all processes of the machine, ms since the epoch; it never steps while a process lives. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
