import { ENGINES } from "../../pages/mod.ts";
import type { SourceRelayOptions } from "../types.ts";
import { CodingEngine, type CodingOptions } from "./coding.ts";
import { Packer } from "./packer.ts";
import { PlainEngine } from "./plain.ts";
import { Throttle } from "./throttle.ts";
import type { SourceEngine } from "./types.ts";

/** The engine of this name for one migration. */
export function makeEngine(
  options: Pick<SourceRelayOptions, "engine" | "pagePolicy" | "pushOrder">,
  around: Pick<
    CodingOptions,
    "memory" | "outgoing" | "settle" | "tell" | "untell" | "room" | "link" | "settled" | "colliding"
  >,
): SourceEngine {
  const { engine: name, pagePolicy: policy, pushOrder } = options;
  const { memory, outgoing } = around;
  if (name === "plain") return new PlainEngine(outgoing, memory.stream);
  const engine = ENGINES[name];
  const packer = new Packer();
  const inFlightBytes = () => around.link()?.inFlightBytes ?? 0;
  const throttle = new Throttle(engine.packing, outgoing, packer, inFlightBytes, () => performance.now());
  return new CodingEngine({ ...around, engine, policy, pushOrder, packer, throttle });
}
