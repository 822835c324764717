import { GodwitError } from "../../src/errors/mod.ts";
import type { Load } from "../types.ts";
import { RATES } from "./client/rates.ts";
import { baseInitrd, diskOfLoads, initrdOf } from "./images.ts";
import { reportingLoad } from "./reporting.ts";
import { servingLoad } from "./serving.ts";
import { waitForLine } from "./wait.ts";

/** Reading the disk takes seconds under TCG, and a busy machine takes its time. */
const FILL_MS = 120_000;

const none: Load = {
  name: "none",
  about: "Nothing but the oracle's own writer.",
  unit: null,
  network: false,
  get initrd() {
    return baseInitrd();
  },
  append: () => "",
  start: async () => null,
};

const pagecache: Load = {
  name: "pagecache",
  about:
    "An idle guest that has read its disk of 96 MiB once, half of it text: all of it is in the page cache.",
  unit: null,
  network: false,
  get initrd() {
    return initrdOf("pagecache");
  },
  get disks() {
    return [diskOfLoads()];
  },
  append: () => "gw.load=pagecache",
  async start({ guest }) {
    await waitForLine(guest, "pagecache", /^L pagecache full /, FILL_MS);
    return null;
  },
};

/** Every load, by the names that cells use. */
export const LOADS: readonly Load[] = [
  none,
  servingLoad({
    name: "redis",
    unit: "GET or SET",
    about:
      `Redis with 48 MiB of values of 1 to 5 KiB, 80 % GET and 20 % SET on ${RATES.redis.connections} connections, at ` +
      `most ${RATES.redis.perSecond} a second, for a request takes a guest under TCG some 3 ms. Every answer is ` +
      "compared with what was written.",
  }),
  servingLoad({
    name: "nginx",
    unit: "HTTP GET",
    about:
      `nginx with 30 MiB of files of 4 KiB to 2 MiB on tmpfs, fetched over ${RATES.nginx.connections} kept connections, ` +
      `at most ${RATES.nginx.perSecond} a second (3.5 MB/s) for TCG's sake. Every body is checked.`,
  }),
  reportingLoad({
    name: "sqlite",
    unit: "transaction",
    about:
      "Transactions in the manner of TPC-B on SQLite with a write-ahead log, one commit each, at most 50 a second; 20 000 " +
      "accounts, 9 MiB on tmpfs: scaled down for TCG.",
  }),
  reportingLoad({
    name: "compile",
    unit: "compiled file",
    about:
      "tcc compiles 8 C files of about 2500 lines by turns, at most 5 a second; a small compiler, for TCG would make a " +
      "large one take minutes.",
  }),
  reportingLoad({
    name: "stress-ng",
    unit: "run of stress-ng",
    about:
      "stress-ng --vm on 16 MiB with 7 methods by turns, at most 2 runs a second, each bounded to about a second of TCG.",
  }),
  pagecache,
];

/**
 * The load of that name.
 * @throws BENCH_UNKNOWN naming the known ones
 */
export function loadNamed(name: string): Load {
  const load = LOADS.find((one) => one.name === name);
  if (load !== undefined) return load;
  throw new GodwitError("BENCH_UNKNOWN", {
    kind: "load",
    name,
    known: LOADS.map((one) => one.name).join(", "),
  });
}
