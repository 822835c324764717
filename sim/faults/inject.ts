/** Makes the faults of a plan happen. */
import { OUTSIDE } from "../engine/simulation.ts";
import type { Wire } from "../engine/wire.ts";
import type { HostName, World } from "../world.ts";
import type { Fault } from "./plan.ts";

/** No fault begins later, and those that last end soon after. */
export const QUIET_MS = 40_000;
/** A stopped process is let go after so long at most: 60 s and it might as well be dead. */
const STOP_MS_MAX = 12_000;

/** Arms all of them. `happened` hears of each. */
export function arm(world: World, happened: (fault: Fault) => void): void {
  const { simulation } = world;
  for (const fault of world.plan.faults) {
    const happen = (): void => {
      simulation.schedule(
        fault.when.plusMs,
        () => {
          if (simulation.nowMs > QUIET_MS) return;
          simulation.trace(`FAULT ${fault.what} (${fault.forMs.toFixed(0)} ms)`);
          happened(fault);
          inject(world, fault);
        },
        OUTSIDE,
      );
    };
    if (fault.when.moment === undefined) happen();
    else world.whenever(fault.when.moment, happen);
  }
}

function inject(world: World, { what, forMs }: Fault): void {
  const { network, simulation, peers } = world;
  const [verb] = what.split(" ");
  const name: HostName = what.includes("target") ? "b" : "a";
  const untilMs = simulation.nowMs + forMs;
  if (verb === "kill" || (verb === "stop" && what !== "cancel")) return strike(world, what, name, forMs);
  switch (what) {
    case "cut":
    case "cut at source":
    case "cut at target":
    case "mute":
      for (const wire of network.wires) cut(wire, what);
      return;
    case "close road":
      network.close("a", "b", forMs);
      network.close("b", "a", forMs);
      return;
    case "close road there":
      return network.close("a", "b", forMs);
    case "close road back":
      return network.close("b", "a", forMs);
    case "lose requests":
      peers.losses.requestsUntilMs = untilMs;
      return;
    case "lose answers":
      peers.losses.answersUntilMs = untilMs;
      return;
    case "disk full at source":
    case "disk full at target":
      world.hosts[name].disk.fullUntilMs = untilMs;
      return;
    case "cancel":
    case "postcopy":
      return world.tellAgent(what);
  }
}

function strike(world: World, what: Fault["what"], name: HostName, forMs: number): void {
  const { simulation } = world;
  const host = world.hosts[name];
  const kills = what.startsWith("kill");
  const stopped = (process: { stoppedUntilMs: number } | undefined): void => {
    if (process !== undefined) process.stoppedUntilMs = simulation.nowMs + Math.min(forMs, STOP_MS_MAX);
  };
  if (what.endsWith("agent")) {
    const { agent } = host;
    if (agent === undefined || !agent.process.alive) return;
    if (!kills) return stopped(agent.process);
    agent.process.die();
    simulation.schedule(forMs, () => world.startAgent(name), OUTSIDE);
  } else if (what.endsWith("relay")) {
    for (const relay of [...host.relays])
      if (kills) relay.murder();
      else stopped(relay.process);
  } else {
    const qemu = world.qemus.findLast(({ process }) => process.host === name && process.alive);
    qemu?.process.die();
  }
}

function cut(wire: Wire, what: Fault["what"]): void {
  const { client, server } = wire;
  if (what === "mute") {
    client.mute = server.mute = true;
    return;
  }
  if (what !== "cut at target") client.tear();
  else client.deaf = true;
  if (what !== "cut at source") server.tear();
  else server.deaf = true;
}
