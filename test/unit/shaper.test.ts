/**
 * Goal: the lab's network does to a stream what it says and nothing else, for fault tests and benches build on it.
 * Method: real sockets on loopback around a shaper; bytes are compared whole, times only as lower bounds or coarsely.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { latencies } from "../../lab/host/latency.ts";
import { forkShaper, type Shaper, type ShaperOptions, startShaper } from "../../lab/host/mod.ts";

interface Echo {
  readonly server: Server;
  readonly at: { host: string; port: number };
  connections: number;
}

/** Sends everything back, and its end, too. */
async function echoServer(t: TestContext): Promise<Echo> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    echo.connections++;
    sockets.add(socket);
    socket.on("error", () => {}); // cuts are what these tests are about
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const echo: Echo = {
    server,
    at: { host: "127.0.0.1", port: (server.address() as AddressInfo).port },
    connections: 0,
  };
  return echo;
}

async function shaped(t: TestContext, options: Omit<ShaperOptions, "listen">): Promise<Shaper> {
  const shaper = await startShaper({ listen: { host: "127.0.0.1", port: 0 }, ...options });
  t.after(() => shaper.close());
  return shaper;
}

function dial(t: TestContext, to: { host: string; port: number }): Socket {
  const socket = connect({ ...to, allowHalfOpen: true });
  t.after(() => socket.destroy());
  return socket;
}

async function received(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

test("bytes arrive whole and in order, and ends are passed on each way", async (t) => {
  const echo = await echoServer(t);
  const shaper = await shaped(t, { to: echo.at });
  const sent = randomBytes(5_000_001);
  const socket = dial(t, shaper.address);
  socket.end(sent);
  assert.ok((await received(socket)).equals(sent));
  assert.deepEqual(shaper.stats, { forwardBytes: sent.length, backwardBytes: sent.length });
});

test("the rate limit holds over a second", async (t) => {
  const echo = await echoServer(t);
  const bytesPerSec = 4_000_000;
  const shaper = await shaped(t, { to: echo.at, bytesPerSec });
  const sent = randomBytes(bytesPerSec * 1.2);
  const startMs = performance.now();
  const socket = dial(t, shaper.address);
  socket.end(sent);
  assert.ok((await received(socket)).equals(sent));
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs >= 1200 * 0.8, `${tookMs} ms for 1.2 s worth of bytes`);
});

test("latency is added to each direction", async (t) => {
  const echo = await echoServer(t);
  const shaper = await shaped(t, { to: echo.at, latencyMs: 60 });
  const socket = dial(t, shaper.address);
  const startMs = performance.now();
  socket.write("x");
  await once(socket, "data");
  assert.ok(
    performance.now() - startMs >= 118,
    "a round trip is at least twice the latency, less timer slack",
  );
});

test("ports of one line share its rate, one queue of 20 ms and its counts", async (t) => {
  const echo = await echoServer(t);
  const free = await Promise.all([0, 1].map(() => shaped(t, { to: echo.at })));
  const [listen, second] = free.map(({ address }) => address) as [Shaper["address"], Shaper["address"]];
  await Promise.all(free.map((shaper) => shaper.close()));
  const bytesPerSec = 2_000_000;
  const shaper = await startShaper({
    listen,
    to: echo.at,
    more: [{ listen: second, to: echo.at }],
    bytesPerSec,
  });
  t.after(() => shaper.close());
  const sent = randomBytes(600_000);
  const startMs = performance.now();
  const sockets = [listen, second].map((at) => dial(t, at));
  for (const socket of sockets) socket.end(sent);
  for (const bytes of await Promise.all(sockets.map(received))) assert.ok(bytes.equals(sent));
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs >= 600 * 0.8, `${tookMs} ms for 0.6 s worth of bytes`);
  assert.deepEqual(shaper.stats, { forwardBytes: 1_200_000, backwardBytes: 1_200_000 });
});

test("jitter is spread around the latency, from a seed, and never changes the order", async (t) => {
  const echo = await echoServer(t);
  const shaper = await shaped(t, { to: echo.at, latencyMs: 10, jitterMs: 10, seed: 7 });
  const socket = dial(t, shaper.address);
  const arrived = received(socket);
  const words = Array.from({ length: 40 }, (_, i) => `${i} `);
  for (const word of words) {
    socket.write(word);
    await sleep(2); // a chunk of its own
  }
  socket.end();
  assert.equal((await arrived).toString(), words.join(""));

  const draw = latencies({ latencyMs: 10, jitterMs: 4, seed: 7 });
  const drawn = Array.from({ length: 10_000 }, draw);
  assert.ok(drawn.every((ms) => ms >= 6 && ms <= 14));
  for (const third of [6, 8.67, 11.33]) {
    const share = drawn.filter((ms) => ms >= third && ms < third + 2.67).length / drawn.length;
    assert.ok(Math.abs(share - 1 / 3) < 0.03, `${share} of all latencies from ${third} ms on`);
  }
  const again = latencies({ latencyMs: 10, jitterMs: 4, seed: 7 });
  assert.deepEqual(Array.from({ length: 100 }, again), drawn.slice(0, 100));
  const nearZero = latencies({ latencyMs: 1, jitterMs: 5, seed: 1 });
  assert.ok(Array.from({ length: 100 }, nearZero).every((ms) => ms >= 0));
});

test("a reset ends connections and every new one until the mend", async (t) => {
  const echo = await echoServer(t);
  const shaper = await shaped(t, { to: echo.at });
  const socket = dial(t, shaper.address);
  socket.write("x");
  await once(socket, "data");
  shaper.cut(undefined, "reset");
  const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNRESET");
  const refused = dial(t, shaper.address);
  refused.write("y");
  const [again] = (await once(refused, "error")) as [NodeJS.ErrnoException];
  assert.match(again.code!, /ECONNRESET|EPIPE/);
  assert.equal(echo.connections, 1);
  shaper.mend();
  const after = dial(t, shaper.address);
  after.end("z");
  assert.equal((await received(after)).toString(), "z");
});

test("a black hole swallows nothing: bytes of both directions arrive after the mend", async (t) => {
  const echo = await echoServer(t);
  const shaper = await shaped(t, { to: echo.at });
  const socket = dial(t, shaper.address);
  socket.write("before ");
  await once(socket, "data");
  shaper.cut(150, "blackhole");
  const startMs = performance.now();
  socket.end("within");
  assert.equal((await received(socket)).toString(), "within");
  assert.ok(performance.now() - startMs >= 140, "it came before the mend");
});

test("nobody beyond a black hole learns of who connected or hung up inside it", async (t) => {
  const echo = await echoServer(t);
  const shaper = await shaped(t, { to: echo.at });
  const open = dial(t, shaper.address);
  open.write("x");
  await once(open, "data");
  shaper.cut(undefined, "blackhole");
  const [given, waiting] = [dial(t, shaper.address), dial(t, shaper.address)];
  given.on("error", () => {}); // its connection is reset, which nobody looks at
  given.end("gone before the mend");
  waiting.end("patient");
  waiting.on("error", () => {});
  open.resetAndDestroy();
  await sleep(100);
  assert.equal(echo.connections, 1, "connections are seen through a black hole");
  const last = dial(t, shaper.address);
  last.write("still here");
  await sleep(50);
  shaper.mend();
  const [data] = (await once(last, "data")) as [Buffer];
  assert.equal(data.toString(), "still here");
  assert.equal(echo.connections, 2, "only who still waits is connected");
});

test("as a process of its own it does the same, and ends when closed", async (t) => {
  const echo = await echoServer(t);
  const shaper = await forkShaper({ listen: { host: "127.0.0.1", port: 0 }, to: echo.at });
  const socket = dial(t, shaper.address);
  socket.end("hello");
  assert.equal((await received(socket)).toString(), "hello");
  assert.deepEqual(await shaper.stats(), { forwardBytes: 5, backwardBytes: 5 });
  assert.equal((await Promise.all([shaper.stats(), shaper.stats()])).length, 2);
  await assert.rejects(forkShaper({ listen: shaper.address, to: echo.at }), /EADDRINUSE/);
  await shaper.close();
  assert.throws(() => process.kill(shaper.pid, 0), { code: "ESRCH" });
  await assert.rejects(shaper.stats(), /has ended/);
});
