import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { LabHost } from "./hosts.ts";
import type { CutManner, Shaper, ShaperOptions } from "./shaper.ts";

const ENDED = "the shaper has ended";

export interface ShaperProcess {
  readonly address: Shaper["address"];
  readonly pid: number;
  cut(ms: number | undefined, manner: CutManner): void;
  mend(): void;
  /** @throws Error when the process has ended */
  stats(): Promise<Shaper["stats"]>;
  close(): Promise<void>;
}

/**
 * `startShaper` in a process of its own.
 * @param host  runs it on that lab host instead of here
 * @throws Error with its own message when it cannot listen
 */
export async function forkShaper(
  options: ShaperOptions,
  host?: Pick<LabHost, "argv">,
): Promise<ShaperProcess> {
  const [execPath, ...before] = host ? host.argv([process.execPath]) : [process.execPath];
  // Under `ip netns exec` the first argument of the forked program is node itself.
  const child = fork(join(import.meta.dirname, "shaper_main.ts"), [JSON.stringify(options)], {
    execPath: execPath!,
    execArgv: before,
  });
  const exited = once(child, "exit");
  // Answers come in the order of the questions.
  const waiting: PromiseWithResolvers<unknown>[] = [];
  child.on("message", (message) => waiting.shift()?.resolve(message));
  child.once("exit", () => {
    for (const { reject } of waiting.splice(0)) reject(new Error(ENDED));
  });
  const answer = <T>(): Promise<T> => {
    const next = Promise.withResolvers<unknown>();
    waiting.push(next);
    return next.promise as Promise<T>;
  };
  const said = await answer<{ address: Shaper["address"] } | { error: string }>();
  if ("error" in said) throw new Error(`the shaper: ${said.error}`);
  return {
    address: said.address,
    pid: child.pid!,
    cut: (ms, manner) => void child.send({ cut: { ms, manner } }),
    mend: () => void child.send({ mend: true }),
    async stats() {
      if (!child.connected) throw new Error(ENDED);
      child.send({ stats: true });
      return (await answer<{ stats: Shaper["stats"] }>()).stats;
    },
    async close() {
      if (child.connected) child.disconnect();
      if (child.exitCode === null && child.signalCode === null) await exited;
    },
  };
}
