/**
 * What a link costs: throughput and CPU time per GiB of its two processes, beside a plain pair in Node that only pipes.
 * Pairs of runs take turns; between them a copy of memory is measured. Each run is five processes on loopback
 * (link_process.ts), which compete for the processors. Not in it: the cost of reading or hashing pages.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { summary } from "../../src/bench/mod.ts";
import { bytesPerSec, copyPages, type Effort, type Figure } from "./figures.ts";
import type { LinkJob, LinkResult } from "./link_process.ts";

const PROCESS = path.join(import.meta.dirname, "link_process.ts");
const PAIRS = { link: "link", pipe: "pipe, the same two processes without a link" } as const;

interface Run {
  readonly bytesPerSec: number;
  readonly cpuSecPerGib: number;
  readonly ofCopy: number;
}

/** Of the link and of the pipe beside it. */
export async function linkFigures({ linkBytes, linkRounds, largeBytes }: Effort): Promise<Figure[]> {
  const memory = new Uint8Array(2 * largeBytes).fill(1);
  const copy = () => copyPages(memory, 0, largeBytes, largeBytes, largeBytes);
  const runs: Record<LinkJob["pair"], Run[]> = { link: [], pipe: [] };
  for (let round = 0; round < linkRounds; round++) {
    for (const pair of ["pipe", "link"] as const) {
      const copyRate = bytesPerSec(largeBytes, copy);
      const results = await run(pair, linkBytes);
      const rate = (results.sink.gbitPerSec * 1e9) / 8;
      const cpuSec = results.source.cpuSec + results.target.cpuSec;
      const cpuSecPerGib = (cpuSec * 2 ** 30) / linkBytes;
      runs[pair].push({ bytesPerSec: rate, cpuSecPerGib, ofCopy: rate / copyRate });
    }
  }
  return (["link", "pipe"] as const).map((pair) => {
    const of = (figure: keyof Run) => summary(runs[pair].map((one) => one[figure]));
    return {
      name: PAIRS[pair],
      bytesPerSec: of("bytesPerSec").median,
      bestBytesPerSec: of("bytesPerSec").most,
      ofCopy: of("ofCopy").median,
      note: `${of("cpuSecPerGib").median.toFixed(2)} s CPU per GiB in both`,
    };
  });
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function run(pair: LinkJob["pair"], bytes: number): Promise<Record<LinkJob["role"], LinkResult>> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "godwit-bench-link-"));
  const children: ChildProcess[] = [];
  const results: Partial<Record<LinkJob["role"], LinkResult>> = {};
  try {
    const port = await freePort();
    const ended: Promise<void>[] = [];
    for (const role of ["sink", "target", "source", "feeder"] as const) {
      const job: LinkJob = { role, pair, bytes, folder, port };
      const child = fork(PROCESS, [JSON.stringify(job)]);
      children.push(child);
      const listens = Promise.withResolvers<void>();
      const end = new Promise<void>((resolve, reject) => {
        child.on("message", (message: "ready" | { role: LinkJob["role"]; result: LinkResult }) => {
          if (message === "ready") listens.resolve();
          else results[message.role] = message.result;
        });
        child.once("exit", (code) =>
          code === 0 ? resolve() : reject(new Error(`${role} exited with ${code}`)),
        );
      });
      end.catch(() => undefined); // told by whoever waits for all of them
      ended.push(end);
      if (role !== "feeder") await Promise.race([listens.promise, end]);
    }
    await Promise.all(ended);
  } finally {
    for (const child of children) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
  return results as Record<LinkJob["role"], LinkResult>;
}
