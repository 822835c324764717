/** What all cases here need: the guest, waiting, and one stand that cases share. */
import { setTimeout as sleep } from "node:timers/promises";
import type { QemuArtefact } from "../setup/mod.ts";

/** Small, so that a move takes two or three seconds; it writes all the time, and checks all its memory twice a second. */
export const GUEST = { memoryMib: 96, setMib: 8, pagesPerSec: 100 } as const;

/** The moment of the fault never came: the move had ended before. The case has no outcome then. */
export class TooLate extends Error {}

/** Waits for a condition; it throws when the time is over or the run is cancelled, saying what it waited for. */
export async function waitFor(
  when: () => boolean | Promise<boolean>,
  what: string,
  limitMs: number,
  signal: AbortSignal,
  everyMs = 20,
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await when())) {
    signal.throwIfAborted();
    if (performance.now() > endMs) throw new Error(`waited ${limitMs} ms in vain for ${what}`);
    await sleep(everyMs);
  }
}

/** Whether it came true in time. */
export async function came(
  when: () => boolean | Promise<boolean>,
  limitMs: number,
  signal: AbortSignal,
  everyMs = 20,
): Promise<boolean> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    if (await when()) return true;
    if (performance.now() > endMs) return false;
    signal.throwIfAborted();
    await sleep(everyMs);
  }
}

/** Hosts and a guest that cases share, one after the other. */
export interface Stand {
  /** false: its guest is lost or no longer to be trusted. */
  readonly usable: boolean;
  close(): Promise<void>;
}

let shared: { readonly key: string; readonly stand: Stand } | null = null;

/**
 * The stand of that name; the one before is ended when it is another, or when its guest is not to be used again.
 * @param key  same key, same kind of stand
 */
export async function standOf<S extends Stand>(
  kind: string,
  qemu: QemuArtefact,
  open: () => Promise<S>,
): Promise<S> {
  const key = `${kind} ${qemu.version}`;
  if (shared?.key === key && shared.stand.usable) return shared.stand as S;
  await endStand();
  const stand = await open();
  shared = { key, stand };
  return stand;
}

/** Ends the stand that is kept, if any. */
export async function endStand(): Promise<void> {
  const old = shared;
  shared = null;
  await old?.stand.close();
}
