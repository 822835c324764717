/**
 * One of the five processes of the link's bench (link.ts): feeder -> unix socket -> source -> TCP on loopback -> target ->
 * unix socket -> sink. The sink counts and checks the feeder's pattern, so nothing can be skipped.
 *
 *   argv[2]: LinkJob as JSON. Sends "ready" when it listens, and what it used when it has ended.
 */
import assert from "node:assert";
import net from "node:net";
import path from "node:path";
import { Arena, acceptBulk, connectBulk, connectLink, type Link, listenLink } from "../../src/link/mod.ts";
import {
  DataKind,
  encodeRecordsPrefix,
  PAYLOAD_BYTES_MAX,
  RECORDS_PREFIX_BYTES,
} from "../../src/wire/mod.ts";

const MIB = 1024 * 1024;
const WRITE_BYTES = 128 * 1024;
const ARENA_BYTES = Number(process.env["ARENA_MIB"] ?? 16) * MIB;
const CHUNK_BYTES = Number(process.env["CHUNK_KIB"] ?? 1024) * 1024;
const WINDOW_MAX = Number(process.env["WINDOW_MIB"] ?? 8) * MIB;

export interface LinkJob {
  readonly role: "feeder" | "source" | "target" | "sink";
  readonly pair: "link" | "pipe";
  readonly bytes: number;
  readonly folder: string;
  readonly port: number;
}
export interface LinkResult {
  readonly cpuSec: number;
  readonly userSec: number;
  readonly gbitPerSec: number;
  readonly rssMib: number;
  readonly reads: number;
}

const common = {
  host: "127.0.0.1",
  ticket: "bench",
  greeting: new Uint8Array(0),
  insecure: false,
  reconnectForMs: 1000,
  bandwidthBytesPerSec: 0,
  windowBytesMax: WINDOW_MAX,
};

function newArena(): Arena {
  // A WASM memory, as in the relays.
  const memory = new WebAssembly.Memory({ initial: ARENA_BYTES / 65536, maximum: ARENA_BYTES / 65536 });
  return new Arena(new Uint8Array(memory.buffer), CHUNK_BYTES);
}

/** The pattern's byte at every 4096th place tells where in the stream it is, modulo 251. */
function pattern(): Buffer {
  const buffer = Buffer.alloc(WRITE_BYTES);
  for (let at = 0; at < WRITE_BYTES; at++) buffer[at] = at % 251;
  return buffer;
}

/** CPU time from here on counts: not the start of the process. */
let base: NodeJS.CpuUsage;

function ready(): void {
  base = process.cpuUsage();
  process.send!("ready");
}

function report(job: LinkJob, more: Partial<LinkResult>): void {
  const { user, system } = process.cpuUsage(base);
  const result: LinkResult = {
    cpuSec: (user + system) / 1e6,
    userSec: user / 1e6,
    rssMib: process.resourceUsage().maxRSS / 1024,
    gbitPerSec: 0,
    reads: 0,
    ...more,
  };
  process.send!({ role: job.role, result }, () => process.exit(0));
}

function feeder(job: LinkJob): void {
  base = process.cpuUsage();
  const socket = net.connect(path.join(job.folder, "in.sock"));
  const buffer = pattern();
  let left = job.bytes;
  const go = (): void => {
    while (left > 0) {
      left -= buffer.length;
      if (!socket.write(buffer)) {
        socket.once("drain", go);
        return;
      }
    }
    socket.end();
  };
  socket.once("connect", go);
  socket.once("close", () => report(job, {}));
}

function sink(job: LinkJob): void {
  const server = net.createServer({ pauseOnConnect: true }, (accepted) => {
    const startedAtMs = performance.now();
    let at = 0;
    const reader = acceptBulk(accepted, new Arena(new Uint8Array(2 * MIB), MIB), {
      consume(memory, start, end) {
        // A place now and then: enough to notice bytes lost, doubled or exchanged.
        const place = at + (((-at % 4096) + 4096) % 4096);
        if (place < at + end - start)
          assert(memory[start + place - at] === (place % WRITE_BYTES) % 251, `at ${place}`);
        at += end - start;
        return end;
      },
    });
    reader.socket.once("end", () => {
      const seconds = (performance.now() - startedAtMs) / 1000;
      assert(at === job.bytes, `${at} bytes of ${job.bytes} arrived`);
      server.close();
      report(job, { gbitPerSec: (job.bytes * 8) / 1e9 / seconds });
    });
  });
  server.listen(path.join(job.folder, "out.sock"), ready);
}

function pipeSource(job: LinkJob): void {
  const server = net.createServer((input) => {
    const output = net.connect(job.port, "127.0.0.1", () => {
      output.setNoDelay(true);
      input.pipe(output);
    });
    output.once("close", () => report(job, {}));
    server.close();
  });
  server.listen(path.join(job.folder, "in.sock"), ready);
}

function pipeTarget(job: LinkJob): void {
  const server = net.createServer({ pauseOnConnect: true }, (input) => {
    const output = net.connect(path.join(job.folder, "out.sock"), () => {
      input.pipe(output);
    });
    output.once("close", () => report(job, {}));
    server.close();
  });
  server.listen(job.port, "127.0.0.1", ready);
}

async function linkSource(job: LinkJob): Promise<void> {
  const arena = newArena();
  const prefix = encodeRecordsPrefix({ context: 0, pages: 1 });
  const payloadMax = PAYLOAD_BYTES_MAX - RECORDS_PREFIX_BYTES;
  let link: Link;
  let reader: ReturnType<typeof acceptBulk> | undefined;
  let reads = 0;
  const server = net.createServer({ pauseOnConnect: true }, (accepted) => {
    server.close();
    reader = acceptBulk(accepted, arena, {
      consume(memory, start, end) {
        reads++;
        let at = start;
        while (at < end) {
          const from = at;
          const to = Math.min(end, at + payloadMax);
          arena.hold(from);
          at = to;
          if (!link.send(DataKind.records, [prefix, memory.subarray(from, to)], () => arena.release(from))) {
            reader?.pause();
            break;
          }
        }
        return at;
      },
    });
    reader.socket.once("end", () => {
      reader!.socket.destroy();
      void link.finish();
    });
  });
  const connected = await connectLink(
    { ...common, port: job.port, arena: new Arena(new Uint8Array(2 * MIB), MIB) },
    {
      frame: (frame) => frame.release(),
      drain: () => reader?.resume(),
      ended: (error) => {
        if (error !== undefined) throw error;
        report(job, { reads });
      },
    },
  );
  link = connected.link;
  server.listen(path.join(job.folder, "in.sock"), ready);
}

async function linkTarget(job: LinkJob): Promise<void> {
  const output = connectBulk(
    { path: path.join(job.folder, "out.sock") },
    new Arena(new Uint8Array(MIB), MIB),
    {
      consume: (_memory, _start, end) => end,
    },
  ).socket;
  let reads = 0;
  let corked = false;
  const server = await listenLink({ ...common, port: job.port, arena: newArena() }, ({ link }) => ({
    frame(frame) {
      reads++;
      if (!corked) {
        corked = true;
        output.cork();
        process.nextTick(() => {
          corked = false;
          output.uncork();
        });
      }
      output.write(frame.payload.subarray(RECORDS_PREFIX_BYTES), () => {
        frame.release();
        if (sent === 0) {
          sent = 1;
          // Everything that the source sends is data; its finish ends the link after ours.
          void link.finish();
        }
      });
    },
    drain: () => undefined,
    ended: (error) => {
      if (error !== undefined) throw error;
      void server.close();
      output.end();
      output.once("close", () => report(job, { reads }));
    },
  }));
  let sent = 0;
  ready();
}

const ROLES = {
  feeder: { link: feeder, pipe: feeder },
  sink: { link: sink, pipe: sink },
  source: { link: linkSource, pipe: pipeSource },
  target: { link: linkTarget, pipe: pipeTarget },
} as const;

const job = JSON.parse(process.argv[2]!) as LinkJob;
await ROLES[job.role][job.pair](job);
