// What each kernel asks of its addresses before it touches anything. They come from our own code, never from a peer, so
// a wrong one is a bug and traps.
import { FREE_START } from "../layout";

export const PAGE: usize = 4096;

/** The range lies within the memory. */
export function readable(at: usize, bytes: usize): void {
  if (<u64>at + <u64>bytes > <u64>memory.size() << 16) unreachable();
}

/** The range lies within the caller's part of the memory: no kernel's scratch, no constant, not the page of zeros. */
export function writable(at: usize, bytes: usize): void {
  if (at < <usize>FREE_START) unreachable();
  readable(at, bytes);
}

/** Two ranges within the memory have no byte in common. */
export function apart(a: usize, aBytes: usize, b: usize, bBytes: usize): void {
  if (a < b + bBytes && b < a + aBytes) unreachable();
}
