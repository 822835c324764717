/** Two relays as an orchestrator starts them, between two QEMUs: what tests with `godwit relay` and a guest need. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { move, type RigVm, until } from "../../lab/rig/mod.ts";
import { startLinkProxy } from "./linkProxy.ts";
import { RelayCli, tcp } from "./relayCli.ts";

/** The way between two QEMUs. */
export interface RelayPath {
  readonly source: RelayCli;
  readonly target: RelayCli;
  /** The source relay's socket. */
  readonly path: string;
  readonly report: string;
}

export interface RelayPathOptions {
  readonly folder: string;
  readonly forward: string;
  readonly sourceFlags?: readonly string[];
  readonly targetFlags?: readonly string[];
  /** Who stands between the relays, given the target relay's address. */
  readonly via?: (to: string) => Promise<string>;
}

/** Both relays, ready; they end with the stack. */
export async function lay(stack: AsyncDisposableStack, options: RelayPathOptions): Promise<RelayPath> {
  const path = join(options.folder, "q.sock");
  const report = join(options.folder, "report.json");
  const forward = ["--listen", "127.0.0.1:0", "--forward", `unix:${options.forward}`];
  const target = stack.use(new RelayCli("target", ...forward, ...(options.targetFlags ?? [])));
  const to = await target.listening();
  const via = options.via ? await options.via(to) : to;
  const flags = ["--report", report, ...(options.sourceFlags ?? [])];
  const source = stack.use(new RelayCli("source", "--listen", `unix:${path}`, "--to", via, ...flags));
  await source.listening();
  return { source, target, path, report };
}

/** A move through relays that has reached the point where the target runs and the source has not been told. */
export async function held(
  stack: AsyncDisposableStack,
  folder: string,
  source: RigVm,
  target: RigVm,
  flags: readonly string[],
) {
  let proxy = await startLinkProxy(tcp("127.0.0.1:1"), {});
  await proxy.close();
  const path = await lay(stack, {
    ...{ folder, forward: target.incoming, sourceFlags: flags, targetFlags: flags },
    via: async (to) => {
      proxy = await startLinkProxy(tcp(to), { holdFromDigest: 3 }); // 3: before the end of memory (docs/wire.md)
      stack.defer(() => proxy.close());
      return proxy.address;
    },
  });
  const moving = move(source, target, { to: `unix:${path.path}`, at: `unix:${target.incoming}` });
  moving.catch(() => undefined); // in doubt it fails when the test decides so
  await until(() => running(target), 60_000, "the target to run");
  assert.ok(proxy.holding());
  assert.ok(!(await running(source)));
  return { path, proxy, moving };
}

/** Whether its guest runs, as it says itself. */
export async function running(vm: RigVm): Promise<boolean> {
  return (await vm.vm.monitor.execute("query-status")).running;
}
