/** What the guest is told to do with its memory (lab/guest/README.md), and its word that it is done. */
import type { BenchCell } from "../cells/mod.ts";
import type { HomeGuest } from "../types.ts";

const FILL_MS = 180_000;

/** Fills so much of the guest's memory with what cannot be compressed, for good. */
export function filled(guest: HomeGuest, mib: number): Promise<void> {
  return done(guest, `fill ${mib}`, "F filled");
}

/** Memory that is free and not zero, and a page cache that could be dropped: what need not move. */
export async function madeFreeable(guest: HomeGuest, of: NonNullable<BenchCell["freeable"]>): Promise<void> {
  await done(guest, "uncache", "F uncached");
  await done(guest, `fill ${of.freedMib}`, "F filled");
  await done(guest, "free", "F free");
  await done(guest, `cache ${of.cachedMib}`, "F cached");
}

/** @throws when the guest cannot, or says nothing in time */
async function done(guest: HomeGuest, command: string, answer: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const late = setTimeout(
    () => reject(new Error(`the guest did not do "${command}" in ${FILL_MS} ms`)),
    FILL_MS,
  );
  const [verb] = command.split(" ");
  const off = guest.onLine((line) => {
    if (line.startsWith(answer)) resolve();
    else if (line.startsWith(`E ${verb}`)) reject(new Error(`the guest cannot do "${command}": ${line}`));
  });
  try {
    guest.say(command);
    await promise;
  } finally {
    clearTimeout(late);
    off();
  }
}
