/** In the place of node:crypto: randomness comes from the seed. Everything else is Node's own. */
import * as crypto from "node:crypto";
import { here } from "../engine/active.ts";
import type { Random } from "../engine/random.ts";
import type { Simulation } from "../engine/simulation.ts";

export * from "node:crypto";

const streams = new WeakMap<Simulation, Random>();

function stream(): Random {
  const { simulation } = here();
  let random = streams.get(simulation);
  if (random === undefined) {
    random = simulation.random("crypto");
    streams.set(simulation, random);
  }
  return random;
}

export function randomBytes(count: number): Buffer {
  const random = stream();
  return Buffer.from(Array.from({ length: count }, () => random.u32() & 0xff));
}

export function randomInt(min: number, max: number): number {
  return stream().int(min, max - 1);
}

export function randomUUID(): string {
  const hex = randomBytes(16).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

export default { ...crypto, randomBytes, randomInt, randomUUID };
