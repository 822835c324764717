/**
 * Loaded into each agent of a soak ahead of everything else (--import): on SIGUSR2 it collects all garbage and writes what
 * memory then is in use to a file, named by process, in the folder that GODWIT_SOAK names. In any other process that
 * inherits the flag it does nothing.
 */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What is written. Bytes, after a collection. */
export interface MemoryInUse {
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** Memory of buffers and of C++ objects that JavaScript holds. */
  readonly externalBytes: number;
}

const folder = process.env["GODWIT_SOAK"];
if (folder !== undefined && process.argv[2] === "agent") {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  process.on("SIGUSR2", () => {
    // Twice: what the first one finalises, the second one frees.
    collect();
    collect();
    const { rss, heapUsed, external } = process.memoryUsage();
    const inUse: MemoryInUse = { rssBytes: rss, heapBytes: heapUsed, externalBytes: external };
    const path = join(folder, `meter-${process.pid}`);
    writeFileSync(`${path}.new`, JSON.stringify(inUse));
    renameSync(`${path}.new`, path);
  });
}
