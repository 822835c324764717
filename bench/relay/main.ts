/**
 * Goal: what the two relays cost: total time beside a direct migration of the same guest over the same link, CPU time
 * per GiB of each process, memory of each relay.
 * Method: one guest with its memory filled with what cannot be compressed, nearly idle, so that every move carries the
 * same in the same number of passes. It goes from QEMU to QEMU, directly and through the relays in turns (the order
 * alternates), and each relay move is compared with the direct one next to it. The first round is not counted.
 *   shaped:    a process of its own lets 800 Mbit/s through, in both ways of moving
 *   unlimited: loopback; all processes compete for the same processors, so a third way is measured too, the floor: two
 *              processes in C that only copy bytes (copier.c; left out without a C compiler). On two processors, QEMU 7.2:
 *              direct 1.0, copiers 1.44, relays 2.45 (medians of 6 pairs).
 * Limits: 1.05 of direct over the shaped link, 1.4 unlimited (medians of pairs), 200 MB per relay. Exit code 1 above.
 */
import { loadavg } from "node:os";
import { Command, Option } from "commander";
import { artefacts, readFlags, whole } from "../../lab/mod.ts";
import { say, summary } from "../../src/bench/mod.ts";
import { copierProgram } from "./copier.ts";
import { type BenchGuest, bootBenchGuest, type Crossing } from "./crossing.ts";
import type { Way } from "./ways.ts";

const LINKS = {
  shaped: { bytesPerSec: 100e6, ratioMax: 1.05, text: "800 Mbit/s" },
  unlimited: { bytesPerSec: 0, ratioMax: 1.4, text: "loopback, unlimited" },
} as const;
type LinkName = keyof typeof LINKS;
const RSS_BYTES_MAX = 200e6;

interface Measured {
  readonly link: LinkName;
  readonly crossings: readonly Crossing[];
  /** Total time of each way by that of the direct move of the same round. */
  readonly ratios: Readonly<Partial<Record<Way, readonly number[]>>>;
}

async function measure(
  guest: BenchGuest,
  link: LinkName,
  ways: readonly Way[],
  pairs: number,
): Promise<Measured> {
  const crossings: Crossing[] = [];
  const ratios: Partial<Record<Way, number[]>> = Object.fromEntries(ways.map((way) => [way, []]));
  for (let round = 0; round <= pairs; round++) {
    const timeMs: Partial<Record<Way, number>> = {};
    for (const way of round % 2 === 0 ? ways : [...ways].reverse()) {
      const crossing = await guest.cross(way, LINKS[link].bytesPerSec);
      timeMs[way] = crossing.totalTimeMs;
      if (round > 0) crossings.push(crossing);
      progress(`${link} ${round === 0 ? "warm-up" : `round ${round} of ${pairs}`}: ${line(crossing)}`);
    }
    if (round === 0) continue;
    for (const way of ways) ratios[way]!.push(timeMs[way]! / timeMs.direct!);
  }
  return { link, crossings, ratios };
}

function line({ way, totalTimeMs, transferredBytes, passes, othersCpus }: Crossing): string {
  const mib = (transferredBytes / 2 ** 20).toFixed(0);
  return `${way} ${totalTimeMs.toFixed(0)} ms, ${mib} MiB, ${passes} passes, others used ${othersCpus.toFixed(2)} CPUs`;
}

function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

function print({ link, crossings, ratios }: Measured): void {
  const { text, ratioMax } = LINKS[link];
  const ways = [...new Set(crossings.map(({ way }) => way))].sort();
  const of = (way: Way, figure: (c: Crossing) => number) =>
    summary(crossings.filter((c) => c.way === way).map(figure));
  console.log(`\n${link} (${text}), medians (least to most) of ${ratios.relay!.length} rounds`);
  for (const way of ways) {
    const gib = (c: Crossing) => c.transferredBytes / 2 ** 30;
    console.log(`  ${way}`);
    console.log(
      `    total time      ${say(
        of(way, (c) => c.totalTimeMs),
        0,
      )} ms`,
    );
    console.log(`    of direct       ${say(summary(ratios[way]!), 3)}`);
    console.log(
      `    downtime        ${say(
        of(way, (c) => c.downtimeMs),
        0,
      )} ms`,
    );
    console.log(
      `    passes          ${say(
        of(way, (c) => c.passes),
        0,
      )}`,
    );
    console.log(
      `    rate            ${say(
        of(way, (c) => gib(c) / (c.totalTimeMs / 1000)),
        2,
      )} GiB/s`,
    );
    const names = Object.keys(crossings.find((c) => c.way === way)!.cpuMs);
    for (const name of names)
      console.log(
        `    CPU ${name.padEnd(8)}    ${say(
          of(way, (c) => c.cpuMs[name]! / 1000 / gib(c)),
          3,
        )} s/GiB`,
      );
    for (const name of names.filter((n) => n === "near" || n === "far"))
      console.log(
        `    peak RSS ${name.padEnd(4)}   ${say(
          of(way, (c) => c.peakRssBytes[name]! / 1e6),
          0,
        )} MB`,
      );
  }
  const others = summary(crossings.map((c) => c.othersCpus));
  console.log(`  other processes used ${say(others, 2)} CPUs meanwhile: the noise`);
  const median = summary(ratios.relay!).median;
  console.log(
    `  relay / direct: ${median.toFixed(3)}, ${median <= ratioMax ? "within" : "ABOVE"} ${ratioMax}`,
  );
}

/** @returns whether all limits hold */
function holds({ link, crossings, ratios }: Measured): boolean {
  const peaks = crossings.filter((c) => c.way === "relay").flatMap((c) => Object.values(c.peakRssBytes));
  return summary(ratios.relay!).median <= LINKS[link].ratioMax && Math.max(...peaks) < RSS_BYTES_MAX;
}

interface Flags {
  readonly pairs: number;
  readonly mem: number;
  readonly ws: number;
  readonly only?: LinkName;
  readonly qemu?: string;
  readonly copy: boolean;
  readonly json?: true;
}

const { qemus } = artefacts();
const names = Object.keys(LINKS) as LinkName[];
const command = new Command("npm run bench:relay --");
const values = readFlags<Flags>(
  command
    .description("Moves through the relays beside direct ones, in pairs.")
    .option("--pairs <n>", "how many", whole(1, 1000), 7)
    .option("--mem <MiB>", "memory of the guest", whole(128, 65_536), 1024)
    .option("--ws <MiB>", "what it writes and verifies", whole(1, 65_536), 32)
    .addOption(new Option("--only <link>", "only over this one").choices(names))
    .option("--qemu <version>", "such as 10.0 (default: the oldest that is set up)")
    .option("--no-copy", "without the way through copiers in C")
    .option("--json", "one JSON object on stdout")
    .addHelpText(
      "after",
      `
Example: npm run bench:relay -- --pairs 6 --only unlimited
Exit codes: 0 within the limits; 1 above one, or a bug; 2 usage.`,
    ),
);
const links = values.only === undefined ? names : [values.only];
const qemu =
  qemus.find(({ version }) => version.startsWith(values.qemu ?? "")) ??
  command.error(`error: no QEMU ${values.qemu}; there are ${qemus.map((q) => q.version).join(", ")}`);

progress(`QEMU ${qemu.version}, guest of ${values.mem} MiB, load ${loadavg().map((n) => n.toFixed(1))}`);
const guest = await bootBenchGuest({ qemu, memoryMib: values.mem, setMib: values.ws });
// QEMUs are sessions of their own: a Ctrl-C at the terminal does not reach them.
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void guest.stop().finally(() => process.exit(130)));
const all: Measured[] = [];
try {
  const floor = values.copy && (await copierProgram()) !== null;
  if (values.copy && !floor) progress("no C compiler (cc): the way through copiers is left out");
  for (const link of links) {
    const ways: Way[] = link === "unlimited" && floor ? ["direct", "relay", "copy"] : ["direct", "relay"];
    all.push(await measure(guest, link, ways, values.pairs));
  }
  await guest.judge();
} finally {
  await guest.stop();
}
if (values.json) console.log(JSON.stringify({ qemu: qemu.version, load: loadavg(), measured: all }));
else for (const measured of all) print(measured);
if (!all.every(holds)) process.exitCode = 1;
