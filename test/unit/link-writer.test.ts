/**
 * Goal: BulkWriter writes everything in order, tells of each piece once and only when its memory is free again, ends
 * after what was queued, and says nothing more of a socket that is gone.
 * Method: real sockets, a unix pair and a slow reader; the sums of what arrives are compared with what was written.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { BulkWriter } from "../../src/link/mod.ts";

interface Pair extends AsyncDisposable {
  readonly near: net.Socket;
  readonly far: net.Socket;
}

async function pair(): Promise<Pair> {
  const folder = mkdtempSync(join(tmpdir(), "gw-writer-"));
  const path = join(folder, "s");
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true });
  server.listen(path);
  await once(server, "listening");
  const near = net.connect({ path, allowHalfOpen: true });
  const [[far]] = (await Promise.all([once(server, "connection"), once(near, "connect")])) as [
    [net.Socket],
    unknown,
  ];
  for (const socket of [near, far]) socket.on("error", () => undefined);
  return {
    near,
    far,
    async [Symbol.asyncDispose]() {
      near.destroy();
      far.destroy();
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Every byte tells its place in the stream. */
function piece(from: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (from + i) % 251);
}

test("far more than the socket holds arrives whole and in order, and each piece is told once, in order", async () => {
  await using sockets = await pair();
  const writer = new BulkWriter(sockets.near);
  const told: number[] = [];
  let bytes = 0;
  const pieces = 400;
  for (let i = 0; i < pieces; i++) {
    const parts = [piece(bytes, 5), piece(bytes + 5, (i * 7919) % 30_000), piece(0, 0)];
    const length = parts[0]!.length + parts[1]!.length;
    bytes += length;
    writer.write(parts, () => told.push(i));
  }
  writer.end();
  await sleep(20);
  assert.ok(told.length < pieces, "nobody has read yet: not all of it can have gone out");
  let at = 0;
  sockets.far.on("data", (data: Buffer) => {
    for (const byte of data) if (byte !== at++ % 251) assert.fail(`a wrong byte at ${at - 1}`);
  });
  sockets.far.resume();
  await once(sockets.far, "end");
  assert.equal(at, bytes);
  assert.deepEqual(
    told,
    Array.from({ length: pieces }, (_, i) => i),
  );
});

test("what is written in one turn leaves at the end of it, before the event loop goes on", async () => {
  await using sockets = await pair();
  const writer = new BulkWriter(sockets.near);
  const told: string[] = [];
  writer.write([piece(0, 10)], () => told.push("first"));
  writer.write([piece(0, 10)], () => told.push("second"));
  assert.deepEqual(told, [], "not within the call");
  await Promise.resolve();
  assert.deepEqual(told, ["first", "second"]);
});

test("pieces written from within `written` go out too, and the end waits for none after it", async () => {
  await using sockets = await pair();
  const writer = new BulkWriter(sockets.near);
  writer.write([piece(0, 3)], () => writer.write([piece(3, 4)], () => writer.end()));
  const read: Buffer[] = [];
  sockets.far.on("data", (data: Buffer) => read.push(data));
  sockets.far.resume();
  await once(sockets.far, "end");
  assert.deepEqual(new Uint8Array(Buffer.concat(read)), piece(0, 7));
  assert.throws(() => writer.write([piece(0, 1)]), /after the end/);
});

test("a socket that is destroyed gives back what was still to be written, each piece once", async () => {
  await using sockets = await pair();
  const writer = new BulkWriter(sockets.near);
  const told: boolean[] = [];
  for (let i = 0; i < 64; i++) writer.write([piece(0, 64 * 1024)], (sent) => told.push(sent));
  await sleep(10);
  const before = told.length;
  assert.ok(before < 64);
  sockets.near.destroy();
  assert.equal(told.length, before, "its memory may still be read");
  await new Promise((resolve) => sockets.near.once("close", resolve));
  assert.deepEqual(told.slice(before), Array(64 - before).fill(false));
  assert.equal(writer.ended, true);
  writer.write([piece(0, 1)], (sent) => told.push(sent)); // tolerated: the owner may not know yet
  await sleep(0);
  assert.deepEqual(told.slice(64), [false]);
});

test("a peer that is gone is an error of the socket", async () => {
  await using sockets = await pair();
  const writer = new BulkWriter(sockets.near);
  const closed = new Promise((resolve) => sockets.near.once("close", resolve));
  let code: string | undefined;
  sockets.near.on("error", (error: NodeJS.ErrnoException) => {
    code = error.code;
  });
  sockets.far.destroy();
  await once(sockets.far, "close");
  const told: boolean[] = [];
  for (let i = 0; i < 64; i++) writer.write([piece(0, 64 * 1024)], (sent) => told.push(sent));
  await closed;
  assert.ok(["EPIPE", "ECONNRESET"].includes(code ?? ""), `code ${code}`);
  assert.deepEqual(told, Array(64).fill(false));
});

test("what is written before the socket is connected goes out once it is", async () => {
  const folder = mkdtempSync(join(tmpdir(), "gw-writer-"));
  const server = net.createServer().listen(join(folder, "s"));
  try {
    await once(server, "listening");
    const near = net.connect(join(folder, "s"));
    const writer = new BulkWriter(near);
    const told = Promise.withResolvers<void>();
    writer.write([piece(0, 100)], () => told.resolve());
    writer.end();
    const [far] = (await once(server, "connection")) as [net.Socket];
    const [data] = (await once(far, "data")) as [Buffer];
    await told.promise;
    assert.deepEqual(new Uint8Array(data), piece(0, 100));
    near.destroy();
    far.destroy();
  } finally {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
