import { rmSync } from "node:fs";
import type { Logger } from "pino";
import { type Monitor, type ResolvedSpec, type RunningVm, recordOf, writeRecord } from "../qemu/mod.ts";
import type { Clock, Vm } from "./context.ts";
import { Serial } from "./serial.ts";

/** A VM of the registry: the QEMU, who watches its console, and who has claimed it. */
export class VmEntry implements Vm {
  readonly running: RunningVm;
  readonly serial: Serial | null;
  incoming: boolean;
  claimedBy: string | null = null;
  /** We end it ourselves: its end is no surprise. */
  ending = false;

  private constructor(running: RunningVm, serial: Serial | null, incoming: boolean) {
    this.running = running;
    this.serial = serial;
    this.incoming = incoming;
  }

  static async open(
    running: RunningVm,
    options: { incoming: boolean; past: boolean; clock: Clock; log: Logger },
  ): Promise<VmEntry> {
    const { serialPath: socket, serialLogPath: logPath } = running;
    const paths = socket === null || logPath === null ? null : { socket, log: logPath };
    const serial = paths === null ? null : await Serial.open(paths, options.clock, options.log, options);
    return new VmEntry(running, serial, options.incoming);
  }

  get name(): string {
    return this.running.spec.name;
  }
  get spec(): ResolvedSpec {
    return this.running.spec;
  }
  get monitor(): Monitor {
    return this.running.monitor;
  }
  get dir(): string {
    return this.running.dir;
  }
  get pid(): number | null {
    return this.running.process?.pid ?? null;
  }
  get qemuVersion(): string {
    return this.running.qemuVersion;
  }

  confirm(): void {
    writeRecord(this.dir, recordOf(this.running, false));
    this.incoming = false;
  }

  /** Lets go of the QEMU, which goes on. */
  release(): void {
    this.serial?.close();
    this.monitor.close();
  }

  /** A relay that is just starting may make its socket there meanwhile: then it is tried again. */
  removeFiles(): void {
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
  }
}
