import { seededRandom } from "../../src/bench/mod.ts";
import { PageSet, type PushOrder, type Waiting } from "../../src/paging/mod.ts";
import { GUEST_PAGES, type Trace } from "./traces.ts";

export interface Run {
  readonly trace: Trace;
  readonly makeOrder: (waiting: Waiting) => PushOrder;
  readonly linkPagesPerSec: number;
  readonly roundTripMs: number;
  /** QEMU gives so many, ascending, and goes on behind a page that it was asked for. */
  readonly drainPagesPerSec: number;
  /** Part of the guest's pages that the target lacks at the switch; which ones is random. */
  readonly lacking: number;
  readonly seed: number;
}

export interface Outcome {
  /** Pages that left because the guest asked, and as a part of the trace's set. */
  readonly faults: number;
  readonly faultsOfSet: number;
  /** Requests for pages that were on their way. */
  readonly late: number;
  /** Of all vCPUs together. */
  readonly stallMs: number;
  readonly longestMs: number;
  /** Until every page has arrived. */
  readonly totalMs: number;
}

/** An order that pushes nothing is released when the guest has asked for nothing for so long. */
const RELEASE_SEC = 0.05;
/** A link with nothing to send looks so often whether it may; an answer does not wait for it. */
const IDLE_LOOK_SEC = 0.001;
/** From a request at QEMU until it has given the page. */
const PASSED_ON_SEC = 0.0002;

interface Vcpu {
  readonly touch: () => number;
  /** When it touches next; Infinity while it waits for a page. */
  at: number;
  waitsFor: number;
  since: number;
}

/**
 * One post-copy with a real push order: vCPUs that touch pages and stop at one that is missing, requests that take half a
 * round trip, a link that carries one page after the other with answers first and nothing queued (an ideal pager), and a
 * QEMU that is drained meanwhile. Time is the model's own.
 */
export function simulate(run: Run): Outcome {
  const pageSec = 1 / run.linkPagesPerSec;
  const wayS = run.roundTripMs / 2000;
  const random = seededRandom(run.seed + 1000);
  const waiting = new PageSet(GUEST_PAGES);
  const undrained = new PageSet(GUEST_PAGES);
  /** When a page is at the target; Infinity: it was not sent. */
  const arrival = new Float64Array(GUEST_PAGES);
  for (let page = 0; page < GUEST_PAGES; page++) {
    if (run.lacking < 1 && random() >= run.lacking) continue;
    arrival[page] = Number.POSITIVE_INFINITY;
    undrained.add(page);
  }
  const order = run.makeOrder(waiting);
  const vcpus = run.trace.vcpus(run.seed).map((touch, i): Vcpu => {
    return { touch, at: i / 100_000, waitsFor: -1, since: 0 };
  });

  let left = undrained.count;
  let drained = 0;
  let drainAt = 0;
  const answers: number[] = [];
  const requests: { at: number; page: number }[] = [];
  const given: { at: number; page: number }[] = [];
  let linkAt = 0;
  let idle = false;
  let lastFault = 0;
  let faults = 0;
  let late = 0;
  let stallS = 0;
  let longestS = 0;
  let end = 0;

  const drainUntil = (now: number): void => {
    while (drained < now * run.drainPagesPerSec && undrained.count > 0) {
      let page = undrained.nextAt(drainAt);
      if (page < 0) page = undrained.nextAt(0);
      undrained.delete(page);
      waiting.add(page);
      drainAt = page + 1;
      drained++;
    }
  };
  const send = (page: number, now: number): void => {
    linkAt = now + pageSec;
    const at = linkAt + wayS;
    arrival[page] = at;
    end = at;
    left--;
    for (const vcpu of vcpus) if (vcpu.waitsFor === page) wake(vcpu, at);
  };
  const wake = (vcpu: Vcpu, at: number): void => {
    stallS += at - vcpu.since;
    longestS = Math.max(longestS, at - vcpu.since);
    vcpu.waitsFor = -1;
    vcpu.at = at + 1 / run.trace.touchesPerSec;
  };
  const touches = (vcpu: Vcpu): void => {
    const page = vcpu.touch();
    const now = vcpu.at;
    if (arrival[page]! <= now) {
      vcpu.at = now + 1 / run.trace.touchesPerSec;
      return;
    }
    vcpu.since = now;
    vcpu.at = Number.POSITIVE_INFINITY;
    requests.push({ at: now + wayS, page });
    if (arrival[page]! < Number.POSITIVE_INFINITY) wake(vcpu, arrival[page]!);
    else vcpu.waitsFor = page;
  };
  const requested = ({ at, page }: { at: number; page: number }): void => {
    drainUntil(at);
    lastFault = at;
    order.fault(page);
    if (arrival[page]! < Number.POSITIVE_INFINITY) late++;
    else if (waiting.delete(page)) {
      faults++;
      answer(page, at);
    } else if (undrained.delete(page)) {
      faults++;
      drainAt = page + 1;
      given.push({ at: at + PASSED_ON_SEC, page });
    }
  };
  const answer = (page: number, now: number): void => {
    answers.push(page);
    if (idle) linkAt = now;
  };
  const linkIsFree = (now: number): void => {
    idle = false;
    drainUntil(now);
    const asked = answers.shift();
    if (asked !== undefined) {
      send(asked, now);
      return;
    }
    if (now - lastFault >= RELEASE_SEC) order.release();
    const page = order.next();
    if (page < 0) {
      linkAt = now + (undrained.count > 0 ? pageSec : IDLE_LOOK_SEC);
      idle = true;
      return;
    }
    waiting.delete(page);
    send(page, now);
  };

  while (left > 0) {
    let vcpu = vcpus[0]!;
    for (const other of vcpus) if (other.at < vcpu.at) vcpu = other;
    const requestAt = requests[0]?.at ?? Number.POSITIVE_INFINITY;
    const givenAt = given[0]?.at ?? Number.POSITIVE_INFINITY;
    const now = Math.min(vcpu.at, requestAt, givenAt, linkAt);
    if (now === requestAt) requested(requests.shift()!);
    else if (now === givenAt) answer(given.shift()!.page, now);
    else if (now === linkAt) linkIsFree(now);
    else touches(vcpu);
  }
  return {
    faults,
    faultsOfSet: faults / run.trace.setPages,
    late,
    stallMs: stallS * 1000,
    longestMs: longestS * 1000,
    totalMs: end * 1000,
  };
}
