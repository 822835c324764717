import { GodwitError, isGodwitError, type WireError } from "../../errors/mod.ts";
import type { SourceEvent } from "../../migration/mod.ts";
import type { QmpEvent } from "../../qemu/mod.ts";
import type { Vm } from "../context.ts";
import type { ProgressMeter } from "./progress.ts";

const POLL_MS = 500;
const QMP_MS = 2_000;

export interface SourceQemuOptions {
  readonly tell: (event: SourceEvent) => void;
  readonly meter: ProgressMeter;
}

/** Watches the source QEMU during a migration: its events, its figures, its death. */
export class SourceQemu {
  readonly #vm: Vm;
  readonly #tell: (event: SourceEvent) => void;
  readonly #meter: ProgressMeter;
  readonly #off: () => void;
  readonly #poll: NodeJS.Timeout;
  #polling = false;
  #closed = false;
  #stoppedAtMs: number | null = null;

  constructor(vm: Vm, { tell, meter }: SourceQemuOptions) {
    this.#vm = vm;
    this.#tell = (event) => this.#closed || tell(event);
    this.#meter = meter;
    this.#off = vm.monitor.onEvent((event) => void this.#onEvent(event));
    this.#poll = setInterval(() => void this.#look(), POLL_MS);
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
    clearInterval(this.#poll);
  }

  async #onEvent({ event, data, timestampMs }: QmpEvent): Promise<void> {
    switch (event) {
      case "STOP":
        this.#stoppedAtMs = timestampMs;
        return this.#tell({ type: "guestStopped" });
      case "MIGRATION_PASS":
        this.#meter.passed(Number(data["pass"]));
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

  /** For progress, and in case that an event was missed. QEMU's monitor may hang meanwhile: one question at a time. */
  async #look(): Promise<void> {
    if (this.#polling || this.#closed) return;
    this.#polling = true;
    try {
      this.#meter.qemu(await this.#vm.monitor.execute("query-migrate", {}, { timeoutMs: QMP_MS }));
    } catch (error) {
      if (!isGodwitError(error)) throw error;
    } finally {
      this.#polling = false;
    }
  }
}
