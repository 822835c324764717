import type { Logger } from "pino";
import { isGodwitError } from "../../errors/mod.ts";
import { isPressed, nextSmaller, relievedSize } from "../../migration/mod.ts";
import { type GuestFigures, memoryBytesOf } from "../../qemu/mod.ts";
import type { BalloonGuard, Clock, EventBus, Guarded, Vm } from "../context.ts";
import { balloonDevice } from "./device.ts";
import { balloonMode } from "./mode.ts";
import type { BalloonDevice } from "./shrink.ts";

/** How often a guest is asked. Pressure is answered in the same breath. */
const ASK_EVERY_MS = 1_000;
const ANSWER_MS = 2_000;
/** A step is taken from a guest no more often. */
const TAKE_EVERY_MS = 5_000;
/** A guest that was under pressure is left alone for so long. */
const REST_MS = 30_000;

/** What the keeper remembers of a guest. */
export interface Kept {
  memory: GuestFigures | null;
  takeAfterMs: number;
}

type KeptVm = Vm & { readonly claimedBy: string | null };

/**
 * One look at a guest. Answers with the size that was ordered, bytes; null: it is left as it is.
 * After Hines and Gopalan, VEE 2009 ("dynamic self-ballooning"), from outside: what the guest can spare is taken step by
 * step, what it lacks is given back at once.
 * Errors: those of QMP.
 */
export async function keep(
  device: BalloonDevice,
  kept: Kept,
  options: {
    readonly ramBytes: number;
    readonly mostBytes: number;
    readonly mayTake: boolean;
    readonly nowMs: number;
  },
): Promise<number | null> {
  const { ramBytes, mostBytes, mayTake, nowMs } = options;
  const memory = await device.ask(ANSWER_MS);
  const before = kept.memory;
  kept.memory = memory;
  if (memory === null) return null; // it stands still, boots, or has no driver
  const sizeBytes = await device.sizeBytes();
  if (isPressed(ramBytes, memory, before)) {
    kept.takeAfterMs = nowMs + REST_MS;
    const more = relievedSize({ ramBytes, sizeBytes, memory }, mostBytes);
    if (more === sizeBytes) return null;
    await device.resize(more);
    return more;
  }
  if (!mayTake || nowMs < kept.takeAfterMs) return null;
  const less = nextSmaller({ ramBytes, sizeBytes, memory });
  if (less === null) return null;
  kept.takeAfterMs = nowMs + TAKE_EVERY_MS;
  await device.resize(less);
  return less;
}

/** Keeps the balloons of this host's VMs that are in the mode auto, and guards guests that a move has made small. */
export class BalloonKeeper implements BalloonGuard {
  readonly #vms: { list(): readonly KeptVm[] };
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #events: EventBus;
  readonly #kept = new WeakMap<Vm, Kept>();
  readonly #guarded = new WeakMap<Vm, Guarded>();
  readonly #busy = new Set<Vm>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: {
    readonly vms: { list(): readonly KeptVm[] };
    readonly clock: Clock;
    readonly log: Logger;
    readonly events: EventBus;
  }) {
    this.#vms = options.vms;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#events = options.events;
    this.#timer = setInterval(() => {
      for (const vm of this.#vms.list()) void this.#look(vm);
    }, ASK_EVERY_MS).unref();
  }

  guard(vm: Vm, guarded: Guarded): void {
    this.#guarded.set(vm, guarded);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(vm: KeptVm): Promise<void> {
    const guarded = this.#guarded.get(vm);
    const guards = guarded?.while() ?? false;
    const keeps = vm.claimedBy === null && !vm.incoming && balloonMode(vm) === "auto";
    if (!(guards || keeps) || this.#busy.has(vm)) return;
    this.#busy.add(vm);
    const kept = this.#kept.get(vm) ?? { memory: null, takeAfterMs: 0 };
    this.#kept.set(vm, kept);
    try {
      const ramBytes = memoryBytesOf(vm.spec);
      const sizeBytes = await keep(await balloonDevice(vm), kept, {
        ...{ ramBytes, mostBytes: guards && guarded ? guarded.mostBytes : ramBytes },
        ...{ mayTake: keeps, nowMs: this.#clock.monoMs() },
      });
      if (sizeBytes !== null) this.#events.emit("vm.balloon", { vm: vm.name, sizeBytes });
    } catch (error) {
      if (!isGodwitError(error)) throw error;
      this.#log.debug({ err: error, vm: vm.name }, "the balloon could not be looked after");
    } finally {
      this.#busy.delete(vm);
    }
  }
}
