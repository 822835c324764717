import { setTimeout as sleep } from "node:timers/promises";
import { GodwitError } from "../../errors/mod.ts";
import { isPressed, nextSmaller, relievedSize } from "../../migration/mod.ts";
import type { Balloon } from "../../qemu/mod.ts";
import type { Clock } from "../context.ts";

/** A guest's driver answers within milliseconds; a busy host may need longer. */
export const ANSWER_MS = 5_000;
const POLL_MS = 20;
/** A driver that finds no page tries again every 200 ms; one that found none for so long has given what it can. */
const STALL_MS = 1_000;
/** A move does not wait longer for its guest to shrink. */
const SHRINK_MS = 30_000;

export type BalloonDevice = Pick<Balloon, "ask" | "resize" | "sizeBytes">;

export interface ShrinkOptions {
  readonly vm: string;
  /** The guest's RAM without a balloon. */
  readonly ramBytes: number;
  readonly clock: Pick<Clock, "monoMs">;
  /** False: the guest stays as it is from now on. */
  readonly mayGoOn: () => boolean;
  /** After each step, with the size that the guest has then. */
  readonly told?: (sizeBytes: number) => void;
}

/**
 * Takes from the guest what it does not need, step by step; after each step it is asked how it fares, and under pressure
 * it gets back what it lacks. Ends when nothing is left to take, when the guest gives no more, or after 30 s.
 *
 * @returns the size that the guest has then, bytes
 * Errors: BALLOON_SILENT before anything was taken; those of QMP.
 */
export async function shrink(device: BalloonDevice, options: ShrinkOptions): Promise<number> {
  const { vm, ramBytes, clock, mayGoOn } = options;
  const untilMs = clock.monoMs() + SHRINK_MS;
  const mostBytes = await device.sizeBytes();
  let sizeBytes = mostBytes;
  const first = await device.ask(ANSWER_MS);
  if (first === null) throw new GodwitError("BALLOON_SILENT", { vm, afterMs: ANSWER_MS });
  let memory = first;
  while (mayGoOn() && clock.monoMs() < untilMs) {
    const goalBytes = nextSmaller({ ramBytes, sizeBytes, memory });
    if (goalBytes === null) break;
    await device.resize(goalBytes);
    const settled = await untilSettled(device, { goalBytes, untilMs, mayGoOn, clock });
    sizeBytes = settled.sizeBytes;
    options.told?.(sizeBytes);
    const now = await device.ask(ANSWER_MS);
    // A guest that fell silent in the middle may be short of everything.
    if (now === null || isPressed(ramBytes, now, memory)) {
      await device.resize(relievedSize({ ramBytes, sizeBytes, memory: now ?? memory }, mostBytes));
      break;
    }
    memory = now;
    if (settled.reached) continue;
    await device.resize(sizeBytes); // it shall not go on by itself when it finds pages later
    break;
  }
  return device.sizeBytes();
}

/** Waits until the guest has come to this size from above, or comes no nearer. */
export async function untilSettled(
  device: BalloonDevice,
  options: Pick<ShrinkOptions, "clock" | "mayGoOn"> & {
    readonly goalBytes: number;
    readonly untilMs: number;
  },
): Promise<{ readonly sizeBytes: number; readonly reached: boolean }> {
  const { goalBytes, untilMs, mayGoOn, clock } = options;
  let sizeBytes = await device.sizeBytes();
  let movedAtMs = clock.monoMs();
  for (;;) {
    const nowMs = clock.monoMs();
    if (Math.abs(sizeBytes - goalBytes) < 4096) return { sizeBytes, reached: true };
    if (!mayGoOn() || nowMs > untilMs || nowMs - movedAtMs > STALL_MS) return { sizeBytes, reached: false };
    await sleep(POLL_MS);
    const now = await device.sizeBytes();
    if (now !== sizeBytes) movedAtMs = clock.monoMs();
    sizeBytes = now;
  }
}
