import { getPriority, setPriority } from "node:os";

/** Before everything that is not urgent itself (setpriority(2)). */
const URGENT = -10;

/**
 * Puts this process' main loop before others while a guest waits for what it does; a helper thread keeps its place. Where that
 * is not allowed (it takes root or CAP_SYS_NICE) nothing changes.
 *
 * @returns puts it back
 */
export function beUrgent(): () => void {
  try {
    const before = getPriority();
    setPriority(URGENT);
    return () => setPriority(before);
  } catch {
    return () => undefined;
  }
}
