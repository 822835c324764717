import assert from "node:assert/strict";
import { startGuest, startTarget } from "../../lab/rig/mod.ts";
import { memoryBytesOf, type QemuCommand, signal } from "../../src/qemu/mod.ts";
import { systemNamed } from "../systems/mod.ts";
import { across, type Home, type HostName, type MoveFacts, type OpenHomeOptions } from "../types.ts";
import { GuestConsole } from "./console.ts";
import { NAMED_THREADS } from "./cpu.ts";
import { BenchGuest, guestOf } from "./guest.ts";
import { moveStock, type StockVm } from "./stockMove.ts";
import { freshParameters } from "./stockSettings.ts";

/** Writing gigabytes takes a while. */
const DUMP = { timeoutMs: 120_000 };

/** Boots the cell's guests on host a, each in a stock QEMU of its own. Errors: BENCH_NO_NETWORK, those of starting QEMU. */
export async function openStockHome(options: OpenHomeOptions): Promise<Home> {
  const home = new StockHome(options);
  try {
    await home.boot();
  } catch (error) {
    await home.close();
    throw error;
  }
  return home;
}

class StockHome implements Home {
  readonly family = "stock";
  readonly guests: readonly BenchGuest[];
  readonly #options: OpenHomeOptions;
  /** By guest; null: it has none (any more). */
  readonly #vms: (StockVm | null)[];
  /** Where each runs just now, also while a move is still being looked after. */
  readonly #speakers: (StockVm | null)[] = [];
  #moving: Promise<unknown> = Promise.resolve();
  #at: HostName = "a";
  #usable = true;
  #paused = false;
  #closed = false;

  constructor(options: OpenHomeOptions) {
    this.#options = options;
    this.#vms = Array.from({ length: options.cell.guests }, () => null);
    this.guests = this.#vms.map(
      (_, index) =>
        new BenchGuest({
          index,
          console: new GuestConsole(),
          host: () => this.#at,
          type: (text) => (this.#speakers[index] ?? this.#vms[index])?.rig.say(text.trimEnd()),
        }),
    );
  }

  get at(): HostName {
    return this.#at;
  }

  get usable(): boolean {
    return this.#usable && !this.#closed;
  }

  async boot(): Promise<void> {
    const boots = await Promise.allSettled(
      this.guests.map(async ({ index, console }) => {
        const spec = await guestOf(this.#options, index);
        const rig = await startGuest({ ...spec, qemu: this.#qemu("a") }, console);
        this.#vms[index] = { rig, fresh: {} };
        this.#vms[index] = { rig, fresh: await freshParameters(rig.vm.monitor) };
      }),
    );
    for (const boot of boots) if (boot.status === "rejected") throw boot.reason;
  }

  async move(system: string, timeLimitMs: number): Promise<readonly MoveFacts[]> {
    assert(this.usable && !this.#paused, "only a home that is usable and not paused can be asked to move");
    const recipe = systemNamed(system);
    assert(recipe.family === "stock", `${system} is no system of stock QEMU`);
    const to = across(this.#at);
    const way = this.#options.stage.way(this.#at);
    const { address } = this.#options.stage.hosts[to];
    const moving = Promise.all(
      this.guests.map(async ({ index, console }) => {
        const source = this.#vms[index];
        const port = way.ports.stock[index];
        assert(source && port !== undefined, "each guest has a QEMU and a port");
        const { facts, owner } = await moveStock({
          ...{ system: recipe, cell: this.#options.cell, source, console, timeLimitMs },
          startTarget: () => startTarget(source.rig, this.#qemu(to), console),
          runsAt: (target) => {
            this.#speakers[index] = target;
          },
          to: `tcp:${way.address}:${port}`,
          at: `tcp:${address}:${port}`,
        });
        this.#vms[index] = owner;
        this.#speakers[index] = owner;
        return { facts, moved: owner !== null && owner !== source };
      }),
    );
    this.#moving = moving.catch(() => undefined); // whoever waits for the move gets it
    const moves = await moving;
    this.#usable = this.#vms.every((vm) => vm !== null) && new Set(moves.map((m) => m.moved)).size === 1;
    if (moves.some(({ moved }) => moved)) this.#at = to;
    return moves.map(({ facts }) => facts);
  }

  pause(): void {
    this.#signal("SIGSTOP");
    this.#paused = true;
  }

  resume(): void {
    this.#signal("SIGCONT");
    this.#paused = false;
  }

  async dumpMemory(files: readonly string[]): Promise<void> {
    for (const [index, file] of files.entries()) {
      const vm = this.#vms[index]?.rig.vm;
      assert(vm, "each guest has a QEMU");
      await vm.monitor.execute("stop");
      try {
        const line = `pmemsave 0 ${memoryBytesOf(vm.spec)} "${file}"`;
        const said = await vm.monitor.execute("human-monitor-command", { "command-line": line }, DUMP);
        assert.equal(said, "", "QEMU writes its memory without a word");
      } finally {
        await vm.monitor.execute("cont");
      }
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.resume();
    // A move that is under way fails with its source, and ends what it has started.
    await Promise.all(this.#vms.map((vm) => vm?.rig.stop()));
    await this.#moving;
    await Promise.all(this.#vms.map((vm) => vm?.rig.stop()));
  }

  #signal(name: "SIGSTOP" | "SIGCONT"): void {
    for (const vm of this.#vms) if (vm?.rig.vm.process) signal(vm.rig.vm.process, name);
  }

  #qemu(host: HostName): QemuCommand {
    const { binary, args } = this.#options.stage.hosts[host].qemu(this.#options.qemu);
    return { binary, args: [...args, ...NAMED_THREADS] };
  }
}
