/**
 * Goal: a session between two relays keeps its promises over real sockets: everything once and in order whatever happens
 * to connections, bounded memory, named ends, strangers kept out.
 * Method: both real ends on loopback; a line in between that resets connections or goes silent; all arenas must be free
 * afterwards. Nothing is asserted about speed; the cap is only checked from below.
 */
import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import { GodwitError } from "../../src/errors/mod.ts";
import { Arena, connectLink, listenLink, WINDOW_BYTES_MIN } from "../../src/link/mod.ts";
import { DataKind, PAYLOAD_BYTES_MAX } from "../../src/wire/mod.ts";
import { options, Pair, Recorder } from "./link-support.ts";

const MIB = 1024 * 1024;

/** Frames of all sizes, each byte telling which frame it is of. */
function payload(index: number): Buffer {
  return Buffer.alloc((index * 7919) % PAYLOAD_BYTES_MAX, index % 251);
}

/** Sends `count` frames as the window allows. @returns how many were acknowledged by then */
async function feed(pair: Pair, count: number): Promise<() => number> {
  let acked = 0;
  for (let index = 0; index < count; index++) {
    const drained = pair.source.drained;
    const kind = index % 3 === 0 ? DataKind.stream : DataKind.records;
    const bytes = payload(index);
    const room = pair.link.send(kind, [bytes.subarray(0, 4), bytes.subarray(4)], () => acked++);
    if (!room) await pair.source.until(() => pair.source.drained > drained);
  }
  return () => acked;
}

function assertAll(pair: Pair, count: number): void {
  assert.equal(pair.target.frames.length, count);
  for (const [index, { bytes }] of pair.target.frames.entries())
    assert(bytes.equals(payload(index)), `frame ${index} arrived as it was sent`);
}

async function finishBoth(pair: Pair): Promise<void> {
  await Promise.all([pair.link.finish(), pair.targetLink.finish()]);
  assert.equal(await pair.source.outcome, undefined);
  assert.equal(await pair.target.outcome, undefined);
  assert(pair.arenasFree, "all chunks are free");
}

for (const byCopy of [false, true])
  test(`everything arrives in order and both ends finish (${byCopy ? "copied" : "read in place"})`, async () => {
    const pair = await new Pair({}, { byCopy, greeting: Uint8Array.of(7) }).open();
    const acked = await feed(pair, 300);
    pair.targetLink.send(DataKind.returnPath, [Buffer.from("pong")]);
    await finishBoth(pair);
    assertAll(pair, 300);
    assert.equal(acked(), 300);
    assert.deepEqual(
      pair.source.frames.map((frame) => frame.bytes.toString()),
      ["pong"],
    );
    assert.equal(pair.source.endedTimes + pair.target.endedTimes, 2);
    await pair.close();
  });

test("a session survives resets in the middle of frames", async () => {
  const pair = await new Pair().open({ line: true });
  const { line } = pair;
  assert(line !== undefined);
  line.cutAtBytes = 1_000_003;
  const again = setInterval(() => {
    if (pair.link.stats.reconnects < 5 && line.cutAtBytes === Number.POSITIVE_INFINITY)
      line.cutAtBytes = line.forwardedBytes + 1_700_001;
  }, 5);
  const acked = await feed(pair, 400);
  clearInterval(again);
  await finishBoth(pair);
  assertAll(pair, 400);
  assert.equal(acked(), 400);
  assert(pair.link.stats.reconnects >= 2, `${pair.link.stats.reconnects} reconnects`);
  assert.equal(pair.sessions, 1);
  await pair.close();
});

test("a line that breaks before the welcome is there opens one session all the same", async () => {
  const pair = await new Pair({}, { ticketOnceWithinMs: 60_000 }).listen({ line: true });
  pair.line!.loseAnswers = 2;
  ({ link: pair.link } = await connectLink(pair.sourceOptions, pair.source));
  assert.equal(pair.line!.loseAnswers, 0);
  assert.equal(pair.sessions, 1);
  await feed(pair, 20);
  await finishBoth(pair);
  assertAll(pair, 20);
  await pair.close();
});

test("a line that resets what it takes is tried again for a while, or until the caller gives up", async () => {
  const pair = await new Pair({ timing: { openMs: 300 } }).listen({ line: true });
  pair.line!.refuses = true;
  const connect = (more: object) => connectLink({ ...pair.sourceOptions, ...more }, new Recorder());
  await assert.rejects(connect({}), { code: "LINK_UNREACHABLE" });
  const giveUp = new AbortController();
  const opening = connect({ timing: { openMs: 600_000 }, giveUp: giveUp.signal });
  setTimeout(() => giveUp.abort(), 100);
  await assert.rejects(opening, { code: "LINK_UNREACHABLE" });
  setTimeout(() => {
    pair.line!.refuses = false;
  }, 200);
  ({ link: pair.link } = await connectLink(
    { ...pair.sourceOptions, timing: { openMs: 600_000 } },
    pair.source,
  ));
  await finishBoth(pair);
  await pair.close();
});

test("frames received but not released before a reset are not delivered again", async () => {
  const pair = await new Pair().open({ line: true });
  pair.target.keep = true;
  let acked = 0;
  for (let index = 0; index < 5; index++) pair.link.send(DataKind.stream, [payload(index)], () => acked++);
  await pair.target.until(() => pair.target.frames.length === 5);
  pair.line!.cut();
  await pair.source.until(() => pair.source.states.includes("resumed"));
  pair.target.keep = false;
  pair.link.send(DataKind.stream, [payload(5)], () => acked++);
  await pair.target.until(() => pair.target.frames.length === 6);
  assert.equal(acked, 0);
  for (const frame of pair.target.kept.reverse()) frame.release();
  await finishBoth(pair);
  assertAll(pair, 6);
  assert.equal(acked, 6);
  await pair.close();
});

test("a silent line is given up and replaced", async () => {
  const timing = { pingMs: 40, deadMs: 300, handshakeMs: 600, backoffMsMax: 50 };
  const pair = await new Pair({ timing }, { timing }).open({ line: true });
  pair.line!.silent = true;
  pair.link.send(DataKind.stream, [payload(0)]);
  await pair.source.until(() => pair.source.states.includes("lost"));
  pair.line!.silent = false;
  await pair.source.until(() => pair.source.states.includes("resumed"));
  await finishBoth(pair);
  assertAll(pair, 1);
  await pair.close();
});

test("when the line does not come back both ends say LINK_LOST", async () => {
  const pair = await new Pair({ reconnectForMs: 150 }, { reconnectForMs: 150 }).open({ line: true });
  const finish = pair.link.finish();
  pair.line!.refuses = true;
  pair.line!.cut();
  const [source, target] = await Promise.all([pair.source.outcome, pair.target.outcome]);
  assert.equal(source?.code, "LINK_LOST");
  assert.equal(target?.code, "LINK_LOST");
  await assert.rejects(finish, { code: "LINK_LOST" });
  assert(pair.arenasFree);
  await pair.close();
});

for (const late of [false, true])
  test(`a session told to wait without end does so (told ${late ? "after" : "before"} the loss)`, async () => {
    const pair = await new Pair({ reconnectForMs: 400 }, { reconnectForMs: 400 }).open({ line: true });
    const patient = () => {
      for (const link of [pair.link, pair.targetLink]) link.setReconnectFor(0);
    };
    if (!late) patient();
    pair.line!.refuses = true;
    pair.line!.cut();
    await Promise.all([
      pair.source.until(() => pair.source.states.includes("lost")),
      pair.target.until(() => pair.target.states.includes("lost")),
    ]);
    if (late) patient();
    await new Promise((resolve) => setTimeout(resolve, 700));
    pair.line!.refuses = false;
    await pair.source.until(() => pair.source.states.includes("resumed"));
    await finishBoth(pair);
    await pair.close();
  });

test("a session told to wait less long than it has waited already ends at once", async () => {
  const pair = await new Pair({ reconnectForMs: 60_000 }, { reconnectForMs: 60_000 }).open({ line: true });
  pair.line!.refuses = true;
  pair.line!.cut();
  await pair.target.until(() => pair.target.states.includes("lost"));
  for (const link of [pair.link, pair.targetLink]) link.setReconnectFor(1);
  assert.equal((await pair.source.outcome)?.code, "LINK_LOST");
  assert.equal((await pair.target.outcome)?.code, "LINK_LOST");
  assert(pair.arenasFree);
  await pair.close();
});

test("a target relay that was restarted does not know the session", async () => {
  const pair = await new Pair().open({ line: true });
  // The same port, another process: the old listener goes, a new one takes its place.
  const { port } = pair.server;
  const closed = pair.server.close();
  pair.line!.refuses = true;
  pair.line!.cut();
  await closed;
  const next = await new Pair({}, { port }).listen();
  pair.line!.refuses = false;
  assert.equal((await pair.source.outcome)?.code, "LINK_FORGOTTEN");
  await pair.line!.close();
  await next.close();
});

test("an abort reaches the other side with its code, from the source and from the target", async () => {
  const error = new GodwitError("STREAM_INVALID", { rule: "footer", atByte: 77 });
  for (const side of ["source", "target"] as const) {
    const pair = await new Pair().open();
    const link = side === "source" ? pair.link : pair.targetLink;
    link.abort(error);
    link.abort(new GodwitError("ABORTED_BY_PEER", { reason: "twice" }));
    assert.equal(link.send(DataKind.stream, [payload(1)]), false);
    const outcomes = [await pair.source.outcome, await pair.target.outcome];
    for (const outcome of outcomes) {
      assert.equal(outcome?.code, "STREAM_INVALID");
      assert.deepEqual(outcome.fields, { rule: "footer", atByte: 77 });
    }
    assert.equal(pair.source.endedTimes + pair.target.endedTimes, 2);
    assert(pair.arenasFree);
    await pair.close();
  }
});

test("a source that lost its line before the target aborted hears of it when it comes back", async () => {
  const pair = await new Pair().open({ line: true });
  pair.line!.refuses = true;
  pair.line!.cut();
  await pair.target.until(() => pair.target.states.includes("lost"));
  pair.targetLink.abort(new GodwitError("TARGET_QEMU_GONE", { phase: "setup" }));
  pair.line!.refuses = false;
  assert.equal((await pair.source.outcome)?.code, "TARGET_QEMU_GONE");
  await pair.close();
});

test("refusals: version, ticket, second session, nobody there, not loopback", async () => {
  const pair = await new Pair({}, { versions: { min: 3, max: 4 } }).listen();
  const connect = (more: object) => connectLink(options({ port: pair.server.port, ...more }), new Recorder());
  await assert.rejects(connect({}), { code: "LINK_VERSION", fields: { ours: "1-1", theirs: "3-4" } });
  await assert.rejects(connect({ ticket: "guess" }), { code: "TICKET_REFUSED" });
  assert.deepEqual(
    pair.events.map((event) => event.fault),
    ["LINK_VERSION", "TICKET_REFUSED"],
  );
  assert.equal(pair.sessions, 0);
  await pair.close();

  const running = await new Pair().open();
  await assert.rejects(connect({ port: running.server.port }), { code: "LINK_BUSY" });
  await feed(running, 20);
  await finishBoth(running);
  assertAll(running, 20);
  await running.close();

  await assert.rejects(connect({ port: running.server.port }), { code: "LINK_UNREACHABLE" });
  await assert.rejects(connect({ host: "192.0.2.1" }), { code: "LINK_INSECURE" });
  await assert.rejects(new Pair({}, { host: "0.0.0.0" }).listen(), { code: "LINK_INSECURE" });
  const taken = await new Pair().listen();
  await assert.rejects(new Pair({}, { port: taken.server.port }).listen(), { code: "LINK_PORT" });
  await taken.close();
});

test("a handler that refuses the offer is the reason of the refusal", async () => {
  const server = await listenLink(options(), () => {
    throw new GodwitError("FORWARD_MISSING", { path: "/x", reason: "absent" });
  });
  await assert.rejects(connectLink(options({ port: server.port }), new Recorder()), {
    code: "FORWARD_MISSING",
  });
  await server.close();
});

test("strangers are named and shut out, and the running session does not notice", async () => {
  const pair = await new Pair({}, { timing: { handshakeMs: 300 } }).open();
  const stranger = async (bytes: string | Buffer): Promise<void> => {
    const socket = net.connect(pair.server.port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write(bytes);
    socket.resume();
    await new Promise((resolve) => socket.once("close", resolve));
  };
  const all = Promise.all([
    stranger("GET / HTTP/1.1\r\nHost: relay\r\n\r\n"),
    stranger(Buffer.alloc(100_000, 0xa5)),
    stranger("GODW"),
    stranger(Buffer.from("474f445701100000", "hex")),
  ]);
  await feed(pair, 100);
  await all;
  await finishBoth(pair);
  assertAll(pair, 100);
  const faults = pair.events.map((event) => event.fault).sort();
  assert.deepEqual(faults, ["handshake_timeout", "handshake_timeout", "magic", "magic"]);
  assert.deepEqual(pair.target.states, []);
  await pair.close();
});

test("no more is in flight than the window and one frame; a release makes room", async () => {
  const pair = await new Pair({ windowBytesMax: WINDOW_BYTES_MIN }).open();
  pair.target.keep = true;
  let frames = 0;
  while (pair.link.send(DataKind.records, [Buffer.alloc(50_000)])) frames++;
  frames++;
  assert.equal(frames, Math.ceil(WINDOW_BYTES_MIN / 50_032));
  assert(pair.link.stats.inFlightBytes < WINDOW_BYTES_MIN + 50_032);
  await pair.target.until(() => pair.target.frames.length === frames);
  assert.equal(pair.source.drained, 0);
  pair.target.keep = false;
  for (const frame of pair.target.kept) frame.release();
  await pair.source.until(() => pair.source.drained === 1);
  await finishBoth(pair);
  await pair.close();
});

test("a target whose arena is full rests, and goes on", async () => {
  // Two chunks hold 1 MiB; the window alone would allow more.
  const arena = new Arena(new Uint8Array(MIB), MIB / 2);
  const pair = await new Pair({ windowBytesMax: 8 * MIB }, { arena }).open();
  pair.target.keep = true;
  const releasing = setInterval(() => pair.target.kept.shift()?.release(), 1);
  const acked = await feed(pair, 60);
  await finishBothAfter(pair, 60);
  clearInterval(releasing);
  assertAll(pair, 60);
  assert.equal(acked(), 60);
  await pair.close();
});

async function finishBothAfter(pair: Pair, frames: number): Promise<void> {
  await pair.target.until(() => pair.target.frames.length === frames);
  await finishBoth(pair);
}

test("the cap holds, and can be lifted while running", async () => {
  const pair = await new Pair({ bandwidthBytesPerSec: 2 * MIB }).open();
  const startedAtMs = performance.now();
  for (let sent = 0; sent < MIB; sent += 65_536) pair.link.send(DataKind.records, [Buffer.alloc(65_536)]);
  await pair.target.until(() => pair.target.frames.length === 16);
  // 1 MiB at 2 MiB/s, less what one frame may be early and what was saved.
  assert(performance.now() - startedAtMs > 400, "1 MiB at 2 MiB/s takes about half a second");
  pair.link.setBandwidth(1);
  pair.link.send(DataKind.records, [Buffer.alloc(65_536)]);
  pair.link.send(DataKind.records, [Buffer.alloc(65_536)]);
  pair.link.setBandwidth(0);
  await finishBothAfter(pair, 18);
  await pair.close();
});
