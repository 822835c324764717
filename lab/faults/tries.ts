import { TooLate } from "./rig.ts";

const TRIES = 3;

/** Tries again where the moment of the fault was missed; the guest is as it was then. */
export async function caught<T>(run: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof TooLate) || tries === TRIES) throw error;
    }
  }
}
