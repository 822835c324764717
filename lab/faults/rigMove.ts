import type { Shaper } from "../mod.ts";
import { passed } from "./proxy.ts";
import { TooLate } from "./rig.ts";
import type { FaultHost, Told } from "./rigHost.ts";

/** How often it is asked whether a move has ended while something else is waited for. */
const LOOK_MS = 50;

/** What a whole move sends towards the target, by the last one without a fault. */
export interface MoveBytes {
  readonly all: number;
  /** From the package of a post-copy on. */
  readonly postcopy: number;
}

/** One move of the guest between two agents, and the moments in it. */
export class FaultMove {
  readonly from: FaultHost;
  readonly to: FaultHost;
  readonly line: Shaper;
  readonly #expected: MoveBytes;
  readonly #signal: AbortSignal;
  readonly #fromBytes: number;
  readonly #listeners = new Set<(host: FaultHost, told: Told) => void>();
  #packageAtBytes: number | null = null;
  #id = "";

  constructor(
    hosts: readonly [FaultHost, FaultHost],
    line: Shaper,
    expected: MoveBytes,
    signal: AbortSignal,
  ) {
    [this.from, this.to] = hosts;
    this.line = line;
    this.#expected = expected;
    this.#signal = signal;
    this.#fromBytes = line.stats.forwardBytes;
    for (const host of hosts) {
      host.onTold = (told) => {
        for (const hear of [...this.#listeners]) hear(host, told);
      };
    }
    this.#listeners.add((host, told) => {
      if (host === this.from && inPostcopy(told)) this.#packageAtBytes ??= line.stats.forwardBytes;
    });
  }

  /** The order has been accepted. */
  began(id: string): void {
    this.#id = id;
  }

  get id(): string {
    return this.#id;
  }

  /** So far. */
  get bytes(): MoveBytes {
    const now = this.line.stats.forwardBytes;
    return { all: now - this.#fromBytes, postcopy: now - (this.#packageAtBytes ?? now) };
  }

  /** Resolves at the line of that host's log; throws TooLate when the move ends before. */
  async told(host: FaultHost, when: (told: Told) => boolean): Promise<void> {
    const heard = Promise.withResolvers<void>();
    const hear = (at: FaultHost, told: Told): void => {
      if (at === host && when(told)) heard.resolve();
    };
    this.#listeners.add(hear);
    const looking = setInterval(async () => {
      if (await this.#over()) heard.reject(new TooLate("the move ended before"));
    }, LOOK_MS);
    try {
      await heard.promise;
    } finally {
      clearInterval(looking);
      this.#listeners.delete(hear);
    }
  }

  /** Waits until this share, 0 to 1, of the move's bytes has left. Throws TooLate when the move ends before. */
  share(share: number): Promise<void> {
    return this.#passed(this.#fromBytes + share * this.#expected.all);
  }

  /** The same, of what comes after the package of a post-copy; 0: right after the target has loaded that. */
  async shareOfPostcopy(share: number): Promise<void> {
    if (this.#packageAtBytes === null) await this.told(this.from, inPostcopy);
    await this.#passed(this.#packageAtBytes! + share * this.#expected.postcopy);
  }

  #passed(bytes: number): Promise<void> {
    return passed(this.line, bytes, () => this.#over(), this.#signal);
  }

  async #over(): Promise<boolean> {
    return this.#id !== "" && (await this.from.status(this.#id)).ended;
  }
}

function inPostcopy({ msg, to }: Told): boolean {
  return msg === "source's phase" && to === "postcopy";
}
