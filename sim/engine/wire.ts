/** One connection: two ends, and what is on its way between them. */
import type { Resource, SimProcess, Simulation } from "./simulation.ts";

export interface Roads {
  /** One way, between hosts. */
  readonly latencyMs: number;
  /** Added to some segments, at most. */
  readonly jitterMs: number;
  readonly bytesPerMs: number;
  /** What a socket's buffers take in all before a writer has to wait. */
  readonly socketBytes: number;
}

/** What connections lie in. */
export interface Medium {
  readonly simulation: Simulation;
  readonly roads: Roads;
  /** When what leaves now gets there. */
  arrivalMs(from: string, to: string): number;
}

/** Whoever has an end: a socket. */
export interface EndUser {
  /** There is something to read, or an end, or a reset. */
  readable(): void;
}

interface Write {
  bytes: Uint8Array;
  readonly taken: (() => void) | undefined;
}

export class Wire {
  readonly network: Medium;
  readonly client: End;
  readonly server: End;
  readonly #gone: (() => void)[] = [];

  constructor(network: Medium, client: SimProcess, server: SimProcess) {
    this.network = network;
    this.client = new End(this, client);
    this.server = new End(this, server);
  }

  get crossesHosts(): boolean {
    return this.client.process.host !== this.server.process.host;
  }

  other(end: End): End {
    return end === this.client ? this.server : this.client;
  }

  onGone(told: () => void): void {
    this.#gone.push(told);
  }

  left(): void {
    if (this.client.closed && this.server.closed) for (const told of this.#gone.splice(0)) told();
  }
}

export class End implements Resource {
  readonly wire: Wire;
  readonly process: SimProcess;
  user: EndUser | undefined;
  /** Arrived and not read. */
  readonly inbox: Uint8Array[] = [];
  /** The peer will write no more, and all of it has arrived. */
  ended = false;
  /** The connection was torn: noticed by whoever reads or writes. */
  reset = false;
  closed = false;
  #finSent = false;
  #pending: Write[] = [];
  #finPending = false;
  /** Taken from our writer, and not read by the peer. */
  #outBytes = 0;
  #lastArrivalMs = 0;
  /** What leaves later than this goes nowhere, and what would come neither: half open. */
  deaf = false;
  /** The same, and nothing ever says so. */
  mute = false;

  constructor(wire: Wire, process: SimProcess) {
    this.wire = wire;
    this.process = process;
    process.resources.add(this);
  }

  get peer(): End {
    return this.wire.other(this);
  }

  /** @param taken  the kernel has all of it (perhaps at once): the memory is not read any more */
  write(bytes: Uint8Array, taken: (() => void) | undefined): void {
    this.#pending.push({ bytes, taken });
    this.#push();
  }

  end(): void {
    this.#finPending = true;
    this.#push();
  }

  #push(): void {
    const { roads } = this.wire.network;
    while (this.#pending.length > 0 && !this.closed && !this.reset) {
      const [write] = this.#pending as [Write];
      const room = roads.socketBytes - this.#outBytes;
      if (room <= 0) return;
      const piece = write.bytes.slice(0, room);
      write.bytes = write.bytes.subarray(piece.length);
      this.#outBytes += piece.length;
      if (piece.length > 0) this.#travel(piece.length, () => this.peer.#arrive(piece));
      if (write.bytes.length > 0) return;
      this.#pending.shift();
      write.taken?.();
    }
    if (this.#finPending && !this.#finSent && this.#pending.length === 0 && !this.reset) {
      this.#finSent = true;
      this.#travel(0, () => this.peer.#finish());
    }
  }

  /** In order, whatever each takes. */
  #travel(bytes: number, arrive: () => void): void {
    const { network } = this.wire;
    const { simulation } = network;
    if (this.mute) return;
    if (this.deaf) {
      // Nobody is there any more: what arrives is answered by a reset.
      const there = network.arrivalMs(this.process.host, this.peer.process.host);
      const tripMs = 2 * (there - simulation.nowMs);
      simulation.schedule(tripMs, () => this.tear(), this.process);
      return;
    }
    let atMs = network.arrivalMs(this.process.host, this.peer.process.host);
    if (this.wire.crossesHosts) atMs += bytes / network.roads.bytesPerMs;
    atMs = Math.max(atMs, this.#lastArrivalMs);
    this.#lastArrivalMs = atMs;
    simulation.schedule(atMs - simulation.nowMs, arrive, this.peer.process);
  }

  #arrive(bytes: Uint8Array): void {
    if (this.closed || this.reset) {
      // A closed end answers data with a reset.
      const { simulation } = this.wire.network;
      if (this.closed) simulation.schedule(0.02, () => this.peer.tear(), this.peer.process);
      return;
    }
    this.inbox.push(bytes);
    this.user?.readable();
  }

  #finish(): void {
    if (this.closed || this.reset) return;
    this.ended = true;
    this.user?.readable();
  }

  /** So many bytes were read: the peer may write on. */
  consumed(bytes: number): void {
    const { peer } = this;
    peer.#outBytes -= bytes;
    if (peer.#pending.length === 0 || peer.closed) return;
    this.wire.network.simulation.schedule(0.01, () => peer.#push(), peer.process);
  }

  /** The connection is torn, seen from here. */
  tear(): void {
    if (this.closed || this.reset) return;
    this.reset = true;
    this.inbox.length = 0;
    this.user?.readable();
  }

  /** Whether somebody waits here to write. */
  get writing(): boolean {
    return this.#pending.length > 0;
  }

  /** Lets go of it: what was taken still goes out, unless something unread is left here. */
  close(): void {
    if (this.closed) return;
    const unread = this.inbox.length > 0;
    this.#pending = [];
    if (unread && !this.reset) {
      const { simulation } = this.wire.network;
      const { peer } = this;
      const tripMs = this.wire.network.arrivalMs(this.process.host, peer.process.host) - simulation.nowMs;
      if (!this.deaf && !this.mute) simulation.schedule(tripMs, () => peer.tear(), peer.process);
    } else if (!this.reset) this.end();
    this.closed = true;
    this.inbox.length = 0;
    this.process.resources.delete(this);
    this.wire.left();
  }

  processDied(): void {
    this.close();
  }
}
