/**
 * Goal: what the bench knows of its loads is exact: reports, pauses, lost connections, libraries of a program.
 * Method: hand-written console lines; a client's loop against connections of the test's own; the parser of programs
 * against what this Node binary says of itself; a client process whose place cannot start it.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { requestLoop } from "../../bench/loads/client/connections.ts";
import { forkClient } from "../../bench/loads/client/fork.ts";
import { Gate } from "../../bench/loads/client/gate.ts";
import { Recorder } from "../../bench/loads/client/recorder.ts";
import { cutOf, POOL, valueAt } from "../../bench/loads/client/values.ts";
import { LOADS, loadNamed } from "../../bench/loads/mod.ts";
import { parseReport } from "../../bench/loads/report.ts";
import { ReportReader } from "../../bench/loads/reporting.ts";
import type { HomeGuest } from "../../bench/types.ts";
import { linkageOf } from "../../lab/setup/elf.ts";
import { isGodwitError } from "../../src/errors/mod.ts";

test("a load is found by its name; an unknown one names the known", () => {
  for (const load of LOADS) assert.equal(loadNamed(load.name), load);
  assert.equal(new Set(LOADS.map((load) => load.name)).size, LOADS.length);
  assert.throws(
    () => loadNamed("quake"),
    (error) =>
      isGodwitError(error) && error.code === "BENCH_UNKNOWN" && /none, redis.*pagecache/.test(error.message),
  );
});

test("a report's operations ended their age before the line came", () => {
  assert.deepEqual(parseReport("sqlite", "L sqlite 4711 2 90000/250,500/1500", 10_000), {
    endedAtMs: [9910, 9999.5],
    latencyMs: [0.25, 1.5],
  });
});

test("a line that lost a part, or is another's, is no report", () => {
  const whole = "L sqlite 4711 2 90000/250,500/1500";
  for (let cut = 1; cut < whole.length; cut++)
    assert.equal(parseReport("sqlite", whole.slice(cut), 0), null, whole.slice(cut));
  assert.equal(parseReport("sqlite", "L sqlite 4711 2 90000/250,500", 0), null);
  assert.equal(parseReport("sqlite", "L sqlite 4711 3 90000/250,500/1500", 0), null);
  assert.equal(parseReport("compile", whole, 0), null);
  assert.equal(parseReport("sqlite", "L sqlite E disk full", 0), null);
});

function guestOf(): { guest: HomeGuest; line: (text: string, atMs: number) => void } {
  let heard: (line: string, atMs: number) => void = () => undefined;
  const guest: HomeGuest = {
    index: 0,
    onLine(listener) {
      heard = listener;
      return () => {
        heard = () => undefined;
      };
    },
    say: () => undefined,
    verified: async () => undefined,
  };
  return { guest, line: (text, atMs) => heard(text, atMs) };
}

test("operations of a guest are taken once, in order, without those that a pause overlaps", async () => {
  const { guest, line } = guestOf();
  const reader = new ReportReader(guest, "sqlite");
  const now = () => performance.timeOrigin + performance.now();
  line("L sqlite 1 2 0/100,0/100", now());
  line("L sqlite 2 1 50000/100", now()); // came late, and so seems to have ended before
  await reader.pause();
  await new Promise((resolve) => setTimeout(resolve, 20));
  await reader.resume();
  line("L sqlite 3 1 0/15000000", now()); // began before the pause
  await new Promise((resolve) => setTimeout(resolve, 5));
  line("L sqlite 4 1 0/1000", now());
  const { endedAtMs, latencyMs } = await reader.take();
  assert.deepEqual([...latencyMs], [0.1, 0.1, 0.1, 1]);
  assert.deepEqual(
    [...endedAtMs],
    [...endedAtMs].sort((a, b) => a - b),
  );
  assert.equal((await reader.take()).endedAtMs.length, 0);
  line("L sqlite E database disk image is malformed", now());
  await assert.rejects(reader.take(), /sqlite does not do its work: database disk image is malformed/);
  await reader.stop();
});

test("a lost request and a lost connection are counted, and a new connection goes on; a closed gate holds all", async () => {
  const gate = new Gate();
  const recorder = new Recorder();
  const ended = new Error("end of the test");
  let connections = 0;
  const connect = async () => {
    const number = connections++;
    let requests = 0;
    return {
      lost: false,
      close() {},
      async request() {
        if (number === 0 && ++requests === 3) {
          this.lost = true;
          throw new Error("reset by peer");
        }
      },
    };
  };
  const taken = { answered: 0, requestsLost: 0, connectionsLost: 0 };
  const loop = requestLoop(await connect(), {
    connect: async () => (connections < 2 ? connect() : Promise.reject(ended)),
    perSecond: 1000,
    gate,
    recorder,
  });
  loop.catch(() => undefined);
  while (taken.answered < 10) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    const { latencyMs, requestsLost, connectionsLost } = recorder.take();
    taken.answered += latencyMs.length;
    taken.requestsLost += requestsLost!;
    taken.connectionsLost += connectionsLost!;
  }
  assert.deepEqual({ ...taken, answered: 0 }, { answered: 0, requestsLost: 1, connectionsLost: 1 });
  assert.equal(connections, 2);
  await gate.close(1000);
  recorder.take();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(recorder.take().latencyMs.length, 0);
});

test("a value is the pool's bytes with its key and version over their beginning, as the server makes it", () => {
  const { at, bytes, header } = cutOf(77, 3);
  const made = Buffer.concat([Buffer.from(header), POOL.subarray(at + header.length, at + bytes)]);
  assert.deepEqual(valueAt(77, 3), made);
  assert.notDeepEqual(valueAt(77, 3), valueAt(77, 4));
});

test("a program's libraries and loader are read from its own file", () => {
  const node = linkageOf(readFileSync(process.execPath));
  assert.match(node!.interpreter!, /^\/lib.*\/ld-linux/);
  assert.ok(node!.needed.includes("libc.so.6"), node!.needed.join());
  assert.equal(linkageOf(Buffer.from("#!/bin/sh\n")), null);
});

test("a client that cannot start says so and leaves nothing", async () => {
  const client = { name: "source" as const, address: "127.0.0.1", argv: () => ["/nowhere/at/all"] };
  await assert.rejects(
    forkClient("redis", { address: "127.0.0.1", client }),
    (error) => isGodwitError(error) && error.code === "BENCH_LOAD_FAILED" && /ENOENT/.test(error.message),
  );
});
