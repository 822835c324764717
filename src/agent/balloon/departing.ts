import type { Logger } from "pino";
import { memoryBytesOf } from "../../qemu/mod.ts";
import type { AgentContext, Vm } from "../context.ts";
import { balloonDevice, giveBack } from "./device.ts";
import { balloonMode } from "./mode.ts";
import { shrink } from "./shrink.ts";

/** The balloon of a VM that leaves: made large before its memory is sent, and as it was when the guest stays. */
export class DepartingBalloon {
  readonly #context: Pick<AgentContext, "clock" | "balloons" | "events">;
  readonly #id: string;
  readonly #vm: Vm;
  readonly #ordered: boolean;
  readonly #log: Logger;
  #beforeBytes: number | null = null;
  #sizeBytes: number | null = null;
  #tookMs: number | null = null;

  constructor(options: {
    readonly context: Pick<AgentContext, "clock" | "balloons" | "events">;
    /** Of the move. */
    readonly id: string;
    readonly vm: Vm;
    /** The move's order says so. Else the balloon is left as it is. */
    readonly ordered: boolean;
    readonly log: Logger;
  }) {
    this.#context = options.context;
    this.#id = options.id;
    this.#vm = options.vm;
    this.#ordered = options.ordered;
    this.#log = options.log;
  }

  /** The size that the guest has to get back, bytes; null: nothing is to be given back. */
  get beforeBytes(): number | null {
    return this.#beforeBytes;
  }

  /** What the guest's RAM was made and how long that took; null: not done. */
  get figures(): { beforeBytes: number; sizeBytes: number; tookMs: number } | null {
    if (this.#beforeBytes === null || this.#sizeBytes === null || this.#tookMs === null) return null;
    return { beforeBytes: this.#beforeBytes, sizeBytes: this.#sizeBytes, tookMs: this.#tookMs };
  }

  /** What the target has to know before the guest comes. Errors: BALLOON_MISSING; those of QMP. */
  async look(): Promise<{ readonly sizeBytes: number | null; readonly auto: boolean }> {
    if (this.#ordered) this.#beforeBytes = await (await balloonDevice(this.#vm)).sizeBytes();
    return { sizeBytes: this.#beforeBytes, auto: balloonMode(this.#vm) === "auto" };
  }

  /**
   * Shrinks the guest where that was ordered; from then on it gets back what it lacks, while `mayGoOn`.
   * @param record  puts `beforeBytes` on the disk: whoever comes after us gives it back
   * Errors: BALLOON_SILENT; those of QMP.
   */
  async shrink(mayGoOn: () => boolean, record: () => void): Promise<void> {
    const { clock, balloons, events } = this.#context;
    const ramBytes = memoryBytesOf(this.#vm.spec);
    if (this.#beforeBytes !== null) {
      record();
      const sinceMs = clock.monoMs();
      const told = (sizeBytes: number) => {
        this.#sizeBytes = sizeBytes;
        this.#tookMs = Math.round(clock.monoMs() - sinceMs);
        events.emit("migration.balloon", { id: this.#id, vm: this.#vm.name, sizeBytes });
      };
      told(this.#beforeBytes);
      const device = await balloonDevice(this.#vm);
      told(await shrink(device, { vm: this.#vm.name, ramBytes, clock, mayGoOn, told }));
      this.#log.info(this.figures, "the guest was made smaller");
    } else if (balloonMode(this.#vm) === "off") return;
    balloons.guard(this.#vm, { mostBytes: this.#beforeBytes ?? ramBytes, while: mayGoOn });
  }

  /** The guest stays here: its size is what it was. Tells the log when it cannot be. */
  async restore(): Promise<void> {
    if (this.#sizeBytes === null || this.#beforeBytes === null) return;
    try {
      await giveBack(this.#vm, this.#beforeBytes);
    } catch (error) {
      this.#log.error({ err: error, sizeBytes: this.#beforeBytes }, "the balloon could not be put back");
    }
  }
}
