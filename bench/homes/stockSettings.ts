/** What both QEMUs are told before a stock move. */
import type { Cell } from "../../src/bench/mod.ts";
import type { MigrationParameters, Monitor } from "../../src/qemu/mod.ts";
import type { StockRecipe } from "../systems/mod.ts";

/** Open: the link limits, not QEMU. Below 10, QEMU 7.2 would take a limit for none at all. */
const OPEN_BYTES_PER_SEC = 2 ** 40;
const DOWNTIME_LIMIT_MS = 300;

/** All that any recipe sets: the QEMU of the last move is the source of the next one. */
const TOUCHED = [
  ...["max-bandwidth", "downtime-limit", "max-postcopy-bandwidth", "xbzrle-cache-size"],
  ...["multifd-channels", "multifd-compression", "multifd-zstd-level", "zero-page-detection"],
];

/** Of a QEMU that nobody has told anything yet. */
export async function freshParameters(monitor: Monitor): Promise<MigrationParameters> {
  const known = await monitor.execute("query-migrate-parameters");
  return Object.fromEntries(Object.entries(known).filter(([name]) => TOUCHED.includes(name)));
}

/**
 * Sets a QEMU for a recipe, and back what an earlier one has set. Both sides get the same; `return-path` is the
 * source's.
 * @param fresh  what `freshParameters` gave when it had just been started
 */
export async function configure(
  monitor: Monitor,
  side: "source" | "target",
  recipe: StockRecipe,
  cell: Cell,
  fresh: MigrationParameters,
): Promise<void> {
  const on: readonly string[] = [
    ...recipe.capabilities,
    "events",
    ...(side === "source" ? ["return-path"] : []),
  ];
  const known = await monitor.execute("query-migrate-capabilities");
  const changes = known
    .map(({ capability, state }) => ({ capability, state, wanted: on.includes(capability) }))
    .filter(({ state, wanted }) => state !== wanted)
    .map(({ capability, wanted }) => ({ capability, state: wanted }));
  if (changes.length > 0) await monitor.execute("migrate-set-capabilities", { capabilities: changes });
  await monitor.execute("migrate-set-parameters", {
    ...fresh,
    "max-bandwidth": OPEN_BYTES_PER_SEC,
    "downtime-limit": DOWNTIME_LIMIT_MS,
    ...recipe.parameters(cell),
  });
}
