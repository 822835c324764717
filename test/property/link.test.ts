/**
 * Goal: whatever connections are lost, each frame is delivered exactly once and in order, its memory is kept as long as
 * it may be read or sent again, and nothing stays behind.
 * Method: the two halves of the real session logic (Outbox, Inbox) at both ends, over a simulated network that takes
 * bytes late, cuts connections at any point, loses what is under way and makes a second connection before the first one
 * is used. No sockets, no clock.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Inbox, Outbox, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN, windowBytes } from "../../src/link/mod.ts";
import { crc32Plain, DataKind, FrameParser } from "../../src/wire/mod.ts";

type Message = { readonly frame: Uint8Array; readonly sequence: number } | { readonly ack: number };

/** One end, and the line from it to the other. */
class End {
  readonly outbox = new Outbox(crc32Plain, 1 << 20);
  readonly inbox = new Inbox();
  readonly delivered: number[] = [];
  readonly held: number[] = [];
  readonly acked: number[] = [];
  sent = 0;
  /** Handed to the connection, still read from our memory; then on the wire. */
  taken: Message[] = [];
  wire: Message[] = [];
  connected = false;
  other!: End;

  send(): void {
    const id = ++this.sent;
    const payload = Uint8Array.of(id >> 8, id);
    this.outbox.queue(
      DataKind.digest,
      [payload],
      () => {
        const stillRead = this.taken.some((message) => "sequence" in message && message.sequence === id);
        assert(!stillRead, `frame ${id} is freed while a connection still reads it`);
        this.acked.push(id);
      },
      0,
    );
    this.pump();
  }

  pump(): void {
    if (!this.connected) return;
    for (let frame = this.outbox.next(); frame !== undefined; frame = this.outbox.next())
      this.taken.push({ frame: Buffer.concat(frame.parts), sequence: frame.sequence });
  }

  /** The kernel takes some; only then may the peer see it. */
  write(count: number): void {
    for (const message of this.taken.splice(0, count)) {
      this.wire.push(message);
      if ("sequence" in message) this.outbox.written(message.sequence);
    }
  }

  arrive(count: number): void {
    for (const message of this.wire.splice(0, count)) {
      const { other } = this;
      if ("ack" in message) {
        assert.equal(other.outbox.ack(message.ack, 0), undefined);
        continue;
      }
      const parser = new FrameParser(crc32Plain);
      assert.equal(parser.next(message.frame, 0, message.frame.length), "frame");
      const how = other.inbox.receive(parser.sequence, parser.flags);
      assert.notEqual(how, "sequence_gap");
      if (how === "duplicate") continue;
      const at = parser.payloadStart;
      other.delivered.push((message.frame[at]! << 8) | message.frame[at + 1]!);
      other.held.push(parser.sequence);
    }
  }

  release(pick: number): void {
    if (this.held.length === 0) return;
    const [sequence] = this.held.splice(pick % this.held.length, 1);
    if (this.inbox.release(sequence!, 2) === "now") this.acknowledge();
  }

  acknowledge(): void {
    if (!this.connected) return;
    const ack = this.inbox.takeAck();
    if (ack !== undefined) this.taken.push({ ack });
  }
}

function cut(...ends: readonly End[]): void {
  for (const end of ends) {
    if (!end.connected) continue;
    end.connected = false;
    end.taken = [];
    end.wire = [];
    end.outbox.detach();
  }
}

/**
 * The handshake as connect.ts and listen.ts do it; `lostHalfway` cuts it after the target has answered. With `forgetful`
 * the target says that it received no more than it released: so frames come twice.
 */
function resume(source: End, target: End, lostHalfway: boolean, forgetful = false): void {
  cut(source, target);
  const ask = source.inbox.point;
  assert.equal(target.outbox.attach(ask, 0), undefined);
  const answer = target.inbox.point;
  target.inbox.told(answer);
  target.connected = true;
  target.pump();
  if (lostHalfway) {
    cut(target);
    return;
  }
  const told = forgetful ? { ...answer, receivedUpTo: answer.releasedUpTo } : answer;
  assert.equal(source.outbox.attach(told, 0), undefined);
  source.connected = true;
  source.inbox.told(ask);
  source.pump();
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("send" as const), at: fc.boolean(), n: fc.nat(5) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("write" as const), at: fc.boolean(), n: fc.nat(6) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("arrive" as const), at: fc.boolean(), n: fc.nat(6) }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("release" as const), at: fc.boolean(), n: fc.nat(9) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("acknowledge" as const), at: fc.boolean(), n: fc.constant(0) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("settle" as const), at: fc.boolean(), n: fc.constant(0) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cut" as const), at: fc.boolean(), n: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("resume" as const), at: fc.boolean(), n: fc.nat(3) }) },
);

test("every frame is delivered once, in order, and freed once, whatever is cut", () => {
  let cuts = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 250, size: "max" }), fc.boolean(), (steps, atOnce) => {
      const source = new End();
      const target = new End();
      source.other = target;
      target.other = source;
      resume(source, target, false);
      for (const { do: what, at, n } of steps) {
        const end = at ? source : target;
        if (what === "send") for (let i = 0; i <= n; i++) end.send();
        else if (what === "write") end.write(n);
        else if (what === "arrive") end.arrive(n);
        else if (what === "release") end.release(n);
        else if (what === "acknowledge") end.acknowledge();
        else if (what === "cut") {
          cuts++;
          // One side may notice long before the other: what it had written still arrives.
          if (n === 0) cut(source, target);
          else cut(end);
        } else if (what === "settle") {
          end.write(1e9);
          end.arrive(1e9);
        } else resume(source, target, n === 0, n === 1);
      }
      if (atOnce) {
        source.write(1e9);
        source.arrive(1e9);
      }
      resume(source, target, false);
      for (let rounds = 0; rounds < 4; rounds++)
        for (const end of [source, target]) {
          end.pump();
          end.write(1e9);
          end.arrive(1e9);
          while (end.other.held.length > 0) end.other.release(0);
          end.other.acknowledge();
        }
      for (const end of [source, target]) {
        const all = Array.from({ length: end.sent }, (_, index) => index + 1);
        assert.deepEqual(end.other.delivered, all);
        assert.deepEqual(end.acked, all);
        assert.equal(end.outbox.inFlightBytes, 0);
        assert(end.outbox.empty && end.other.inbox.settled);
      }
    }),
    { numRuns: 400 },
  );
  assert(cuts > 100, "connections were cut");
});

test("the window is bounded and grows with the rate and the distance", () => {
  const input = fc.record({
    deliveredBytesPerSec: fc.double({ min: 1, max: 1e11, noNaN: true }),
    roundTripMsMin: fc.double({ min: 0, max: 5000, noNaN: true }),
    windowBytesMax: fc.integer({ min: WINDOW_BYTES_MIN, max: WINDOW_BYTES_MAX }),
  });
  fc.assert(
    fc.property(input, (given) => {
      const bytes = windowBytes(given);
      assert(bytes >= WINDOW_BYTES_MIN && bytes <= given.windowBytesMax);
      assert(windowBytes({ ...given, deliveredBytesPerSec: given.deliveredBytesPerSec * 2 }) >= bytes);
      assert(windowBytes({ ...given, roundTripMsMin: given.roundTripMsMin + 10 }) >= bytes);
    }),
  );
  // 100 MB/s at no distance: 50 ms of it.
  assert.equal(windowBytes({ deliveredBytesPerSec: 1e8, roundTripMsMin: 0, windowBytesMax: 8e6 }), 5e6);
});
