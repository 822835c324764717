import { GodwitError, isGodwitError, type WireError } from "../../errors/mod.ts";
import type { SourceEvent } from "../../migration/mod.ts";
import type { QmpEvent } from "../../qemu/mod.ts";
import type { Vm } from "../context.ts";
import type { ProgressMeter } from "./progress.ts";
import type { Steering } from "./steering.ts";

/** Passes of a guest that writes little may follow each other by the thousand per second. */
const ASK_AGAIN_MS = 10;
const QMP_MS = 2_000;

export interface SourceQemuOptions {
  readonly tell: (event: SourceEvent) => void;
  readonly meter: ProgressMeter;
  readonly steering: Pick<Steering, "askEveryMs" | "passed" | "qemu">;
}

/** Watches the source QEMU during a migration: its events, its figures, its death. */
export class SourceQemu {
  readonly #vm: Vm;
  readonly #tell: (event: SourceEvent) => void;
  readonly #meter: ProgressMeter;
  readonly #off: () => void;
  readonly #steering: SourceQemuOptions["steering"];
  #poll: NodeJS.Timeout | undefined;
  /** query-migrate has been asked and has not answered yet. */
  #asking = false;
  /** A pass has begun since it was asked. */
  #outdated = false;
  #closed = false;
  #stoppedAtMs: number | null = null;

  constructor(vm: Vm, { tell, meter, steering }: SourceQemuOptions) {
    this.#vm = vm;
    this.#tell = (event) => this.#closed || tell(event);
    this.#meter = meter;
    this.#steering = steering;
    this.#off = vm.monitor.onEvent((event) => void this.#onEvent(event));
    this.#lookIn(steering.askEveryMs);
    void vm.monitor.closed.then((cause) => {
      const error = new GodwitError("SOURCE_QEMU_GONE", { phase: "migration" }, { cause });
      this.#tell({ type: "sourceGone", error: error.toJSON() });
    });
  }

  /** When the guest last stopped: QEMU's own wall clock. */
  get stoppedAtMs(): number | null {
    return this.#stoppedAtMs;
  }

  /**
   * Stops the guest by our own order. Says `guestHeld` only when QEMU had not stopped it by itself just before: then it
   * would also start it again by itself.
   */
  async hold(): Promise<void> {
    const { monitor } = this.#vm;
    await monitor.execute("stop");
    const { status } = await monitor.execute("query-status");
    if (status === "paused") this.#tell({ type: "guestHeld" });
  }

  close(): void {
    this.#closed = true;
    this.#off();
    clearTimeout(this.#poll);
  }

  async #onEvent({ event, data, timestampMs }: QmpEvent): Promise<void> {
    switch (event) {
      case "STOP":
        this.#stoppedAtMs = timestampMs;
        return this.#tell({ type: "guestStopped" });
      case "MIGRATION_PASS":
        this.#meter.passed(Number(data["pass"]));
        this.#steering.passed(Number(data["pass"]));
        // Now `remaining` is just what the guest wrote during the pass before: the moment to decide.
        this.#lookIn(0);
        return this.#tell({ type: "pass", pass: Number(data["pass"]) });
      case "MIGRATION": {
        const status = String(data["status"]);
        if (status !== "failed") return this.#tell({ type: "qemuStatus", status });
        return this.#tell({ type: "qemuStatus", status, error: await this.#whyFailed(status) });
      }
    }
  }

  async #whyFailed(status: string): Promise<WireError> {
    let reason = "QEMU gives no reason";
    try {
      reason = (await this.#vm.monitor.execute("query-migrate"))["error-desc"] ?? reason;
    } catch (error) {
      if (!isGodwitError(error)) throw error;
    }
    return new GodwitError("QEMU_MIGRATION_FAILED", { status, reason }).toJSON();
  }

  /** One question at a time: QEMU's monitor may hang meanwhile. */
  #lookIn(ms: number): void {
    this.#outdated = true;
    if (this.#asking || this.#closed) return;
    clearTimeout(this.#poll);
    this.#poll = setTimeout(() => void this.#look(), ms);
  }

  /** For progress and steering, and in case that an event was missed. */
  async #look(): Promise<void> {
    this.#asking = true;
    this.#outdated = false;
    try {
      const info = await this.#vm.monitor.execute("query-migrate", {}, { timeoutMs: QMP_MS });
      this.#meter.qemu(info);
      if (!this.#closed) this.#steering.qemu(info);
    } catch (error) {
      if (!isGodwitError(error)) throw error;
    } finally {
      this.#asking = false;
      this.#lookIn(this.#outdated ? ASK_AGAIN_MS : this.#steering.askEveryMs);
    }
  }
}
