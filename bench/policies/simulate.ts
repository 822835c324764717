import { PAGE_BYTES, type PageKernels } from "../../kernels/mod.ts";
import { Holding, makePolicy, type PolicyName } from "../../src/pages/mod.ts";
import { GUEST_PAGES, type GuestModel } from "./guests.ts";

/** A copied page of QEMU's costs it so much beside what the link costs. */
const READ_PAGES_PER_SEC = 300_000;
/** A pass takes so long at least: QEMU gathers the dirty log. */
const SYNC_SEC = 0.01;
/** Between QEMU and the link: a few batches. Reading waits when there is more. */
const BACKLOG_PAGES = 90;
const SECONDS_MAX = 60;

export interface Run {
  readonly guest: GuestModel;
  readonly policy: Exclude<PolicyName, "auto">;
  readonly linkPagesPerSec: number;
  readonly downtimeSec: number;
  /** The room for what waits, as a part of what the link carries within the downtime. */
  readonly roomOfDowntime: number;
  /** The guest is stopped after so many passes, or after 60 s. */
  readonly passesMax: number;
  /** Before a version that waited leaves, the guest's memory is looked at: one that has changed since need not cross. */
  readonly peeks: boolean;
  /** A version equal to what the target has need not cross. */
  readonly skipsUnchanged: boolean;
  readonly seed: number;
}

export interface Outcome {
  /** Until the guest runs at the target. */
  readonly seconds: number;
  readonly pages: number;
  readonly downtimeMs: number;
  readonly passes: number;
  /** false: the guest was stopped because time or passes were up. */
  readonly converged: boolean;
  /** Most pages that waited at once. */
  readonly heldMost: number;
}

/**
 * One pre-copy of a guest over a link: QEMU's cyclic sweep with its bitmap, gathered anew at the end of each pass; a link
 * that carries pages one after the other; the real `Holding` and policies between them. The guest is stopped as soon as
 * what is dirty, and what waits and is probably not dirty again, fits the downtime.
 */
export function simulate(run: Run, kernels: PageKernels): Outcome {
  const { linkPagesPerSec: link } = run;
  const budgetPages = Math.floor(link * run.downtimeSec);
  const room = Math.max(1, Math.floor(budgetPages * run.roomOfDowntime));

  const write = run.guest.writer(run.seed);
  const log = new Uint8Array(GUEST_PAGES);
  const writtenAt = new Float64Array(GUEST_PAGES);
  const readAt = new Float64Array(GUEST_PAGES);
  /** When what the target has was read. */
  const targetAt = new Float64Array(GUEST_PAGES).fill(-1);
  const dirty = new Uint8Array(GUEST_PAGES).fill(1);

  let now = 0;
  let writes = 0;
  let linkFreeAt = 0;
  let pages = 0;
  let heldMost = 0;

  const guestRuns = (): void => {
    for (; writes < now * run.guest.writesPerSec; writes++) {
      const page = write();
      log[page] = 1;
      writtenAt[page] = writes / run.guest.writesPerSec;
    }
  };
  const send = (page: number, readTime: number): void => {
    if (run.skipsUnchanged && targetAt[page]! >= writtenAt[page]!) return;
    targetAt[page] = readTime;
    pages++;
    linkFreeAt = Math.max(linkFreeAt, now) + 1 / link;
  };
  const policy = makePolicy(run.policy, { totalPages: GUEST_PAGES, slots: room });
  const region = { start: kernels.freeStart, bytes: room * PAGE_BYTES };
  const waiting = new Uint8Array(GUEST_PAGES);
  let stopped = false;
  const holding =
    policy &&
    new Holding(kernels, region, policy, GUEST_PAGES, (page) => {
      const waited = waiting[page] === 1 && readAt[page]! < now;
      waiting[page] = 0;
      // Once the guest is stopped, what is not in the last dirty set is the newest.
      if (run.peeks && waited && !stopped && writtenAt[page]! > readAt[page]!) return;
      send(page, readAt[page]!);
    });
  const read = (page: number): void => {
    if (!stopped) {
      now += 1 / READ_PAGES_PER_SEC;
      if (linkFreeAt < now) holding?.pump(Math.max(1, Math.floor((now - linkFreeAt) * link)));
      now = Math.max(now, linkFreeAt - BACKLOG_PAGES / link);
      guestRuns();
    }
    dirty[page] = 0;
    readAt[page] = now;
    if (holding === undefined) send(page, now);
    else {
      waiting[page] = 1;
      holding.offer(page, kernels.freeStart, 0, 0);
      heldMost = Math.max(heldMost, holding.heldPages);
    }
  };
  const sweep = (): void => {
    for (let page = 0; page < GUEST_PAGES; page++) if (dirty[page] === 1) read(page);
  };

  let passes = 0;
  let converged = false;
  while (now < SECONDS_MAX && passes < run.passesMax && !converged) {
    passes++;
    if (passes > 1) holding?.pass();
    const start = now;
    sweep();
    now = Math.max(now, start + SYNC_SEC);
    if (linkFreeAt < now) holding?.pump(Math.floor((now - linkFreeAt) * link));
    guestRuns();
    let left = Math.ceil(Math.max(0, linkFreeAt - now) * link);
    for (let page = 0; page < GUEST_PAGES; page++) {
      if (log[page] === 1) left++;
      if (log[page] === 1) dirty[page] = 1;
      log[page] = 0;
    }
    left += (holding?.expectedBytes ?? 0) / PAGE_BYTES;
    converged = left <= budgetPages;
  }
  stopped = true;
  const stoppedAt = now;
  sweep();
  holding?.flush();
  const seconds = Math.max(now, linkFreeAt);
  return { seconds, pages, downtimeMs: (seconds - stoppedAt) * 1000, passes, converged, heldMost };
}
