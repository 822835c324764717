/** Whether a world that has come to rest ended well, and said what is true. */
import type { MigrationStatusBody } from "../src/agent/api.ts";
import { type SourcePhase, sourceSettled, type TargetPhase, targetSettled } from "../src/migration/mod.ts";
import type { FaultKind } from "./faults/plan.ts";
import type { World } from "./world.ts";

/** How a move stands, as the API of the source's agent says; undefined: it does not answer. */
export function statusOf(world: World, id: string): MigrationStatusBody | undefined {
  try {
    return world.departures?.status(id);
  } catch {
    return undefined;
  }
}

/** No side has anything left to do for this move. */
export function settled(world: World, id: string): boolean {
  const { b } = world.hosts;
  const status = statusOf(world, id);
  // A move that was in doubt was told as ended then, and goes on: its phase says when it has.
  if (status === undefined || !status.ended || !sourceSettled(status.phase as SourcePhase)) return false;
  if (b.agent?.process.alive !== true || !b.agent.ready) return false;
  const there = targetPhase(world, id);
  return there === undefined || targetSettled(there);
}

/** @returns the rule that was broken and how, or undefined */
export function judge(
  world: World,
  id: string,
  happened: ReadonlySet<FaultKind>,
  rests: boolean,
): readonly [string, string] | undefined {
  const [source] = world.qemus;
  const target = world.qemus.findLast(({ process }) => process.host === "b");
  const runs = { source: source?.running === true, target: target?.running === true };
  const status = statusOf(world, id);
  const phase = status?.phase;
  const killed = (what: string) => happened.has(`kill ${what}` as FaultKind);
  const agentDied = killed("source agent") || killed("target agent");
  // Without room on the disk a report lives no longer than its agent.
  if (status === undefined && killed("source agent") && happened.has("disk full at source")) return undefined;
  if (status === undefined) return ["no_status", "nothing tells how the move ended"];
  if (phase === "inDoubt") {
    // An agent that comes back in the middle of a move cannot know; anything else is asked until it is answered.
    if (agentDied || killed("target qemu")) return undefined;
    return [
      "doubt_stays",
      `in doubt although both agents live; the target's guest ${runs.target ? "runs" : "stands"}`,
    ];
  }
  if (!rests) return ["not_settled", `the source says ${phase}, the target ${targetPhase(world, id)}`];
  switch (phase) {
    case "completed":
      if (runs.source) return ["untrue", "said completed, and the source's guest runs"];
      if (!runs.target && !killed("target qemu"))
        return ["untrue", "said completed, and the target's guest does not run"];
      if (!disturbed(happened) && [...world.seen].some((moment) => moment.startsWith("killed relay")))
        return ["relay_left", "all went well, and a relay did not end by itself"];
      return target?.incoming?.complete || killed("target qemu")
        ? undefined
        : ["untrue", "said completed, and pages are missing"];
    case "aborted":
    case "refused":
      if (runs.target) return ["untrue", `said ${phase}, and the target's guest runs`];
      if (!runs.source && !killed("source qemu"))
        return ["untrue", `said ${phase}, and the source's guest does not run`];
      return status.report?.["error"] == null ? ["untrue", `said ${phase} without a reason`] : undefined;
    case "lost":
      if (runs.source) return ["untrue", "said lost, and the source's guest runs"];
      if (killed("source qemu") || killed("target qemu") || agentDied) return undefined;
      if (source?.outgoing?.stuck) return undefined;
      return ["lost", `nothing that a guest needs was killed: ${JSON.stringify(status.report?.["error"])}`];
    default:
      return ["not_settled", `the phase ${phase} is no end`];
  }
}

/** Something may have kept a relay from saying goodbye. */
function disturbed(happened: ReadonlySet<FaultKind>): boolean {
  return [...happened].some(
    (fault) => !["cancel", "postcopy", "lose answers", "lose requests"].includes(fault),
  );
}

/** As the agent there says; undefined: it knows nothing of this move. */
function targetPhase(world: World, id: string): TargetPhase | undefined {
  try {
    return world.hosts.b.agent?.arrivals.word(id).phase;
  } catch {
    return undefined;
  }
}
