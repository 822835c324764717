/**
 * Goal: bytes of a socket land in the arena in order, whatever the consumer leaves, keeps or refuses, and no chunk is
 * lost or used twice.
 * Method: a real unix socket pair, a consumer of fixed-size units that keeps ranges and checks them again later.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { Arena, acceptBulk, type BulkReader, connectBulk } from "../../src/link/mod.ts";

test("an arena counts holds, hands out what is free, and wakes one waiter", () => {
  const memory = new Uint8Array(1000);
  const arena = new Arena(memory, 100, { start: 50, end: 275 });
  assert.equal(arena.chunks, 2);
  const [a, b] = [arena.take(), arena.take()];
  assert.deepEqual([a, b], [50, 150]);
  assert.equal(arena.take(), undefined);
  let woken = 0;
  arena.whenFree(() => woken++);
  arena.whenFree(() => woken++);
  arena.hold(199);
  arena.release(150);
  assert.deepEqual([woken, arena.freeChunks], [0, 0]);
  arena.release(249);
  assert.deepEqual([woken, arena.freeChunks], [1, 1]);
  assert.throws(() => arena.release(150), /more often/);
  assert.throws(() => arena.hold(20), /lies in the arena/);
});

const UNIT = 1000;
const UNITS = 6000;

function unit(index: number): Buffer {
  return Buffer.alloc(UNIT, index % 251);
}

/** Takes units of 1000 bytes; keeps each for a while and checks it when it lets go; pauses now and then. */
class Units {
  readonly arena = new Arena(new Uint8Array(4 * 64 * 1024 + 17), 64 * 1024);
  reader!: BulkReader;
  seen = 0;
  readonly #kept: { readonly at: number; readonly index: number }[] = [];
  readonly #timer = setInterval(() => this.#letGo(120), 1);

  consume(memory: Uint8Array, start: number, end: number): number {
    let at = start;
    while (end - at >= UNIT) {
      assert(
        unit(this.seen).equals(memory.subarray(at, at + UNIT)),
        `unit ${this.seen} arrives as it was sent`,
      );
      this.arena.hold(at);
      this.#kept.push({ at, index: this.seen++ });
      at += UNIT;
      if (this.seen % 700 === 0) {
        this.reader.pause();
        setTimeout(() => this.reader.resume(), 3);
        break;
      }
    }
    return at;
  }

  #letGo(count: number): void {
    for (const { at, index } of this.#kept.splice(0, count)) {
      assert(
        unit(index).equals(this.arena.memory.subarray(at, at + UNIT)),
        `unit ${index} stays while it is held`,
      );
      this.arena.release(at);
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.reader?.socket.destroy();
  }

  /** Until the socket has ended: everything came, and no chunk stays behind. */
  async settle(): Promise<void> {
    const { socket } = this.reader;
    await once(socket, "end");
    socket.destroy();
    await once(socket, "close");
    clearInterval(this.#timer);
    this.#letGo(UNITS);
    assert.equal(this.seen, UNITS);
    assert.equal(this.arena.freeChunks, this.arena.chunks, "all chunks are free");
  }
}

async function feed(socket: net.Socket): Promise<void> {
  const bytes = Buffer.concat(Array.from({ length: UNITS }, (_, index) => unit(index)));
  for (let at = 0, n = 1; at < bytes.length; n++) {
    const size = (n * 7919) % 90_000;
    if (!socket.write(bytes.subarray(at, at + size))) await once(socket, "drain");
    at += size;
  }
  socket.end();
}

async function listen(): Promise<{ server: net.Server; file: string; folder: string }> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "godwit-bulk-"));
  const file = path.join(folder, "s");
  const server = net.createServer({ pauseOnConnect: true }).listen(file);
  await once(server, "listening");
  return { server, file, folder };
}

for (const byCopy of [false, true])
  test(`an accepted socket is read in bulk (${byCopy ? "copied" : "in place"})`, async (t) => {
    const { server, file, folder } = await listen();
    const units = new Units();
    const client = net.connect(file);
    // Also when it fails: a timer or a socket left over would keep the whole run waiting.
    t.after(() => {
      units.stop();
      client.destroy();
      server.close();
      rmSync(folder, { recursive: true, force: true });
    });
    const [accepted] = (await once(server, "connection")) as [net.Socket];
    units.reader = acceptBulk(accepted, units.arena, units, { byCopy });
    await Promise.all([feed(client), units.settle()]);
  });

test("a client socket is read in bulk", async () => {
  const { server, file, folder } = await listen();
  const units = new Units();
  units.reader = connectBulk({ path: file }, units.arena, units);
  const [accepted] = (await once(server, "connection")) as [net.Socket];
  await Promise.all([feed(accepted), units.settle()]);
  server.close();
  rmSync(folder, { recursive: true });
});

test("a server with a wrapped socket closes once that socket is closed", async () => {
  const server = net.createServer({ pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
  const [accepted] = (await once(server, "connection")) as [net.Socket];
  const arena = new Arena(new Uint8Array(1 << 16), 1 << 15);
  const { socket } = acceptBulk(accepted, arena, { consume: (_memory, _start, end) => end });
  const closed = once(server, "close");
  server.close();
  socket.destroy();
  await closed;
  client.destroy();
  assert.equal(arena.freeChunks, arena.chunks);
});
