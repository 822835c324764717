/** All surfaces, by name. */
import type { Surface } from "../types.ts";
import { returnPath } from "./returnPath.ts";
import { stream } from "./stream.ts";
import { target } from "./target.ts";
import { monitor, spec } from "./text.ts";
import { frames, session } from "./wire.ts";

export const SURFACES: readonly Surface[] = [stream, target, frames, session, returnPath, monitor, spec];

/** @throws RangeError for a name that none has */
export function surfaceOf(name: string): Surface {
  const found = SURFACES.find((surface) => surface.name === name);
  if (found === undefined)
    throw new RangeError(
      `no surface ${name}: there are ${SURFACES.map((surface) => surface.name).join(", ")}`,
    );
  return found;
}
