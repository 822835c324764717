/**
 * Bugs put in on purpose, around the real code and never in it: what shows that the simulation would find such a bug. Each
 * changes a method of a real class for the length of a run.
 */
import { EffectRunner } from "../src/agent/migrate/effects.ts";
import { Inbox } from "../src/link/mod.ts";
import { Holding } from "../src/pages/mod.ts";
import { PageSet } from "../src/paging/mod.ts";
import { Disk } from "./host/history.ts";

export const MUTANTS = [
  "lost acknowledgement",
  "double resume",
  "forgotten held page",
  "resumes in doubt",
  "runs before it is recorded",
  "forgotten missing page",
] as const;
export type MutantName = (typeof MUTANTS)[number];

/** Makes the code wrong until the function that it returns is called. Before each run: what it counts begins anew. */
export function mutate(name: MutantName): () => void {
  switch (name) {
    case "lost acknowledgement": {
      // It counts as said, and is not sent: whatever waits for it waits for ever, unless more comes behind it.
      let acks = 0;
      return around(
        Inbox.prototype,
        "takeAck",
        (real) =>
          function (this: Inbox) {
            const ack = real.call(this);
            return ++acks % 3 === 0 ? undefined : ack;
          },
      );
    }
    case "double resume":
      // The source goes on as soon as it has sent its commit.
      return withEffect("sendCommit", "resumeSource");
    case "resumes in doubt":
      // No answer is taken for a no.
      return withEffect("askLater", "resumeSource");
    case "forgotten held page": {
      let offers = 0;
      return around(
        Holding.prototype,
        "offer",
        (real) =>
          function (this: Holding, page: number, address: number, lo: number, hi: number) {
            if (++offers % 20 !== 0) real.call(this, page, address, lo, hi);
          },
      );
    }
    case "runs before it is recorded":
      return around(
        Disk.prototype,
        "put",
        (real) =>
          function (this: Disk, kind, id, vm, value) {
            const { state } = value as { readonly state?: { readonly phase: string } };
            if (state?.phase !== "committed") real.call(this, kind, id, vm, value);
          },
      );
    case "forgotten missing page": {
      let deletions = 0;
      return around(
        PageSet.prototype,
        "addRange",
        (real) =>
          function (this: PageSet, first: number, count: number) {
            return real.call(this, first, ++deletions % 2 === 0 && count > 1 ? count - 1 : count);
          },
      );
    }
  }
}

/** After one effect another is done that nobody decided. */
function withEffect(after: string, extra: string): () => void {
  return around(
    EffectRunner.prototype as EffectRunner<string>,
    "add",
    (real) =>
      function (this: EffectRunner<string>, effects: readonly string[]) {
        real.call(this, effects.includes(after) ? [...effects, extra] : effects);
      },
  );
}

function around<T extends object, K extends keyof T>(
  target: T,
  name: K,
  wrap: (real: T[K]) => T[K],
): () => void {
  const real = target[name];
  target[name] = wrap(real);
  return () => {
    target[name] = real;
  };
}
