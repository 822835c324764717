import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Floor, LinkShape } from "../../src/bench/mod.ts";
import type { Home } from "../types.ts";
import { floorOf } from "./floor.ts";

/** Writes the memory of a home's guests into files that are gone afterwards. Null: this home cannot tell. */
export async function measureFloor(home: Home, link: LinkShape): Promise<Floor | null> {
  if (home.dumpMemory === undefined) return null;
  const dir = await mkdtemp(join(tmpdir(), "gw-floor-"));
  try {
    const files = home.guests.map(({ index }) => join(dir, `${index}.memory`));
    await home.dumpMemory(files);
    return await floorOf(files, link);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
