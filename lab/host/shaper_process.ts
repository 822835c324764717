import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { LabHost } from "./hosts.ts";
import type { CutManner, Shaper, ShaperOptions } from "./shaper.ts";

export interface ShaperProcess {
  readonly address: Shaper["address"];
  readonly pid: number;
  cut(ms: number | undefined, manner: CutManner): void;
  mend(): void;
  stats(): Promise<Shaper["stats"]>;
  close(): Promise<void>;
}

/**
 * `startShaper` in a process of its own.
 * @param host  runs it on that lab host instead of here
 * @throws Error when it ends before it listens; its own message is on stderr
 */
export async function forkShaper(options: ShaperOptions, host?: LabHost): Promise<ShaperProcess> {
  const [execPath, ...before] = host ? host.argv([process.execPath]) : [process.execPath];
  // Under `ip netns exec` the first argument of the forked program is node itself.
  const child = fork(join(import.meta.dirname, "shaper_main.ts"), [JSON.stringify(options)], {
    execPath: execPath!,
    execArgv: before,
  });
  const exited = once(child, "exit");
  const died = exited.then(() => {
    throw new Error("the shaper ended before it listened");
  });
  const [{ address }] = (await Promise.race([once(child, "message"), died])) as [Pick<Shaper, "address">];
  died.catch(() => {}); // its end after this is close()'s matter
  return {
    address,
    pid: child.pid!,
    cut: (ms, manner) => void child.send({ cut: { ms, manner } }),
    mend: () => void child.send({ mend: true }),
    async stats() {
      child.send({ stats: true });
      const [{ stats }] = (await once(child, "message")) as [Pick<Shaper, "stats">];
      return stats;
    },
    async close() {
      if (child.connected) child.disconnect();
      if (child.exitCode === null && child.signalCode === null) await exited;
    },
  };
}
