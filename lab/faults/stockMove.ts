/** One QEMU of a stock stand, and one move from one to another as an operator without Godwit makes it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MigrationInfo } from "../../src/qemu/mod.ts";
import { GuestOracle, type QemuArtefact, type Shaper } from "../mod.ts";
import { type RigVm, startGuest, startTarget } from "../rig/mod.ts";
import { freePorts, passed } from "./proxy.ts";
import { came, GUEST } from "./rig.ts";
import type { MoveBytes } from "./rigMove.ts";
import { RunWatch } from "./rigRuns.ts";

/** A QEMU whose main loop waits for a missing page does not answer; it is asked again. */
const ASK_MS = 1_000;
const RECOVERIES = 3;
const RECOVERED_MS = 20_000;
const LATER_MS = 1_000;

/** One QEMU with its own oracle, watched from outside. */
export class StockVm {
  readonly rig: RigVm;
  readonly oracle: GuestOracle;
  readonly runs: RunWatch;
  readonly #dir: string;

  private constructor(rig: RigVm, oracle: GuestOracle, runs: RunWatch, dir: string) {
    this.rig = rig;
    this.oracle = oracle;
    this.runs = runs;
    this.#dir = dir;
  }

  /** @param from  waits for this one's guest; null: boots one */
  static async start(qemu: QemuArtefact, from: StockVm | null): Promise<StockVm> {
    const dir = mkdtempSync(join(tmpdir(), "gw-stock-"));
    const path = join(dir, "watch.qmp");
    const oracle = new GuestOracle();
    const runs = new RunWatch(path);
    const watched = { ...qemu, args: [...qemu.args, "-qmp", `unix:${path},server=on,wait=off`] };
    const { memoryMib, ...workload } = GUEST;
    try {
      const rig =
        from === null
          ? await startGuest({ qemu: watched, memoryMib, workload, bootMs: 120_000 }, oracle)
          : await startTarget(from.rig, watched, oracle);
      return new StockVm(rig, oracle, runs, dir);
    } catch (error) {
      await runs.close();
      rmSync(dir, { recursive: true, force: true });
      throw error;
    }
  }

  /** What query-migrate says; null: it does not answer, or is gone. */
  async migration(): Promise<MigrationInfo | null> {
    const { monitor } = this.rig.vm;
    return await monitor.execute("query-migrate", {}, { timeoutMs: ASK_MS }).catch(() => null);
  }

  async end(): Promise<void> {
    await this.runs.close();
    await this.rig.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** A move through a line, or straight where there is none. */
export class StockMove {
  readonly from: StockVm;
  readonly to: StockVm;
  readonly line: Shaper;
  readonly #expected: MoveBytes;
  readonly #signal: AbortSignal;
  #packageAtBytes: number | null = null;

  constructor(ends: { from: StockVm; to: StockVm }, line: Shaper, expected: MoveBytes, signal: AbortSignal) {
    this.from = ends.from;
    this.to = ends.to;
    this.line = line;
    this.#expected = expected;
    this.#signal = signal;
  }

  /** @param port  where the target is to listen */
  async begin(port: number, postcopy: boolean): Promise<void> {
    const [source, target] = [this.from.rig.vm.monitor, this.to.rig.vm.monitor];
    const capabilities = [
      { capability: "return-path", state: true },
      { capability: "postcopy-ram", state: postcopy },
    ];
    await source.execute("migrate-set-capabilities", { capabilities });
    await source.execute("migrate-set-parameters", { "max-bandwidth": 0, "downtime-limit": 300 });
    await target.execute("migrate-set-capabilities", { capabilities: capabilities.slice(1) });
    await target.execute("migrate-incoming", { uri: `tcp:127.0.0.1:${port}` });
    target.onEvent(({ event }) => {
      if (event === "RESUME") this.#packageAtBytes ??= this.line.stats.forwardBytes;
    });
    // In pre-copy only once the source says that it is done: before, both could run. In post-copy: when the package is there.
    if (postcopy) await target.execute("cont");
    await source.execute("migrate", { uri: `tcp:127.0.0.1:${this.line.address.port}` });
    if (!postcopy) return;
    await came(async () => (await this.from.migration())?.status === "active", 10_000, this.#signal, 5);
    await source.execute("migrate-start-postcopy");
  }

  get bytes(): MoveBytes {
    const all = this.line.stats.forwardBytes;
    return { all, postcopy: all - (this.#packageAtBytes ?? all) };
  }

  share(share: number): Promise<void> {
    return this.#passed(share * this.#expected.all);
  }

  async shareOfPostcopy(share: number): Promise<void> {
    await came(() => this.#packageAtBytes !== null, 30_000, this.#signal, 1);
    await this.#passed(this.#packageAtBytes! + share * this.#expected.postcopy);
  }

  /** Waits until the target has everything; the source does not know yet where the line is long. */
  async lastByte(): Promise<void> {
    await came(async () => (await this.to.migration())?.status === "completed", 60_000, this.#signal, 1);
  }

  /** Waits until the source's word is final, or that its stream rests. null: it is neither in time. */
  async settled(limitMs: number): Promise<string | null> {
    let status = "";
    const final = ["completed", "failed", "cancelled", "postcopy-paused"];
    const done = await came(
      async () => {
        status = (await this.from.migration())?.status ?? "";
        return final.includes(status);
      },
      limitMs,
      this.#signal,
      5,
    );
    return done ? status : null;
  }

  /**
   * What an operator does for a post-copy that has paused: the target listens anew, the source resumes there.
   * @returns what both said to the last try, null when it completed
   */
  async recover(): Promise<string | null> {
    let said = "";
    for (let tries = 0; tries < RECOVERIES; tries++) {
      const uri = `tcp:127.0.0.1:${await freePorts(1)}`;
      try {
        await this.to.rig.vm.monitor.outOfBand("migrate-recover", { uri });
        await this.from.rig.vm.monitor.execute("migrate", { uri, resume: true });
        const completed = async () => (await this.from.migration())?.status === "completed";
        if (await came(completed, RECOVERED_MS, this.#signal)) return null;
        said = `the source stays ${(await this.from.migration())?.status}`;
      } catch (error) {
        said = error instanceof Error ? error.message : String(error);
      }
      await sleep(LATER_MS);
    }
    return said;
  }

  #passed(bytes: number): Promise<void> {
    const over = async () => (await this.from.migration())?.status === "completed";
    return passed(this.line, bytes, over, this.#signal);
  }
}
