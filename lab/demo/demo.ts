import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { VmBody } from "../../src/agent/mod.ts";
import { reportText } from "../../src/cli/outcome.ts";
import { time } from "../../src/cli/show.ts";
import { GodwitError } from "../../src/errors/mod.ts";
import { mayUsePostcopy, type Report, STRATEGIES, type Strategy } from "../../src/migration/mod.ts";
import { postcopyObstacle } from "../../src/qemu/mod.ts";
import { guestCommandLine } from "../guest/mod.ts";
import type { LabHosts } from "../host/mod.ts";
import { artefacts } from "../setup/mod.ts";
import { commandText, godwit, succeeded } from "./command.ts";
import { DemoHost } from "./host.ts";
import type { DemoOptions } from "./options.ts";
import type { Sandbox } from "./sandbox.ts";
import { MEANING, type Move, movesTable, say } from "./story.ts";
import { guestVerifies } from "./verdict.ts";

const VM = "guest";
/** A guest that writes faster than the link carries would be copied for ever. */
const MOVE_TIMEOUT = "10m";
const PAGES_PER_MIB = 256;

export interface DemoParts {
  readonly options: DemoOptions;
  readonly sandbox: Sandbox;
  readonly network: LabHosts;
  readonly signal: AbortSignal;
}

/** The demo from the first agent to the closing table. Whoever runs it cleans up: `agents` tells what was started. */
export class Demo {
  readonly agents: DemoHost[] = [];
  readonly #parts: DemoParts;

  constructor(parts: DemoParts) {
    this.#parts = parts;
  }

  /** Errors: COMMAND_FAILED, GUEST_CORRUPT, GUEST_SILENT, SETUP_MISSING, those of an agent, the signal's reason. */
  async run(): Promise<void> {
    const [alpha, beta] = await this.#startAgents();
    await this.#startGuest(alpha);
    const moves: Move[] = [];
    let [from, to] = [alpha, beta];
    const strategies = await this.#strategies();
    for (const [index, strategy] of strategies.entries()) {
      say(`\nMove ${index + 1} of ${strategies.length}, ${strategy}, ${from.name} to ${to.name}:`);
      say(`${MEANING[strategy]}.`);
      moves.push(await this.#move(strategy, from, to));
      [from, to] = [to, from];
    }
    say();
    await this.#godwit(from, ["vm", "stop", VM]);
    for (const agent of this.agents) await agent.stop();
    this.#close(moves);
  }

  async #startAgents(): Promise<[DemoHost, DemoHost]> {
    const { sandbox, network, signal } = this.#parts;
    const qemu = artefacts().qemus[0]!;
    const where = network.apart
      ? "two network namespaces joined by a cable of their own"
      : "two agents on loopback (as root they would be two network namespaces)";
    say(`Two hosts, alpha and beta: ${where}. QEMU ${qemu.version}, stock.`);
    const start = async (name: string, place: LabHosts["source"]): Promise<DemoHost> => {
      const { dir } = sandbox;
      const host = await DemoHost.start({ ...{ name, place, dir, qemu, signal }, apart: network.apart });
      this.agents.push(host);
      say(`  ${name}: agent at ${host.peer}`);
      return host;
    };
    return [await start("alpha", network.source), await start("beta", network.target)];
  }

  /** All of them, but not those that this system lets only root use; the one asked for, whatever becomes of it. */
  async #strategies(): Promise<readonly Strategy[]> {
    const { strategy } = this.#parts.options;
    if (strategy !== null) return [strategy];
    const obstacle = await postcopyObstacle(artefacts().qemus[0]!);
    if (obstacle === null) return STRATEGIES;
    const possible = STRATEGIES.filter((name) => !mayUsePostcopy({ strategy: name, onTimeout: "abort" }));
    say(`\nNo post-copy here, so only ${possible.join(" and ")}. ${obstacle}`);
    say("All of them: run it as root, or after `sudo sysctl vm.unprivileged_userfaultfd=1`.");
    return possible;
  }

  async #startGuest(host: DemoHost): Promise<void> {
    const { options, sandbox, signal } = this.#parts;
    const { memoryMib, setMib, pagesPerSec, mode, breakAfterSec } = options;
    const { kernel, initrd } = artefacts();
    const append = guestCommandLine({ setMib, pagesPerSec, mode, breakAfterSec });
    const spec = { name: VM, memory: `${memoryMib}MiB`, kernel, initrd, append, heartbeat: true };
    const path = join(sandbox.dir, "guest.json");
    writeFileSync(path, JSON.stringify(spec, null, 2));
    say(`\nA Linux guest of ${memoryMib} MiB. Its only program keeps a working set of ${setMib} MiB`);
    say(
      `(manner "${mode}", up to ${pagesPerSec} pages a second), prints a heartbeat every 10 ms, and is its own`,
    );
    say("oracle: it knows what each page must hold, and checks them all, again and again.");
    if (breakAfterSec > 0)
      say(
        `After ${breakAfterSec} s one byte of it is damaged on purpose (--break): the oracle has to see it.`,
      );
    const { stdout } = await this.#godwit(host, ["vm", "start", path, "--json"], "vm start guest.json");
    const vm = JSON.parse(stdout) as VmBody;
    const { machine, cpu, accel } = vm.spec as Record<string, string>;
    say(`  ${machine}, CPU ${cpu}, ${accel}, process ${vm.pid}; it boots`);
    const { tookMs } = await guestVerifies(host, VM, 1, signal);
    say(
      `  it works: first check of its ${setMib * PAGES_PER_MIB} pages passed ${time(tookMs)} after its start`,
    );
  }

  async #move(strategy: Strategy, from: DemoHost, to: DemoHost): Promise<Move> {
    const { options, signal } = this.#parts;
    const typed = ["migrate", VM, "--to", to.peer, "--strategy", strategy];
    if (options.bandwidth !== null) typed.push("--bandwidth", options.bandwidth);
    const args = [...typed, "--timeout", MOVE_TIMEOUT, "--json"];
    const { exitCode, stdout } = await this.#run(from, args, commandText(typed));
    if (stdout.trim() === "") succeeded(args, { exitCode, stdout });
    const report = JSON.parse(stdout) as Report;
    if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    say(reportText(report));
    succeeded(args, { exitCode, stdout });
    if (report.equal !== true) throw new GodwitError("NOT_PROVEN", {});
    say("  the guest checks its memory at the new place...");
    const verdict = await guestVerifies(to, VM, 2, signal);
    say(
      `  oracle: V ${verdict.pass} OK after ${time(verdict.tookMs)}; every page checked after the move, none differs`,
    );
    return { from: from.name, to: to.name, report, verdict };
  }

  #close(moves: readonly Move[]): void {
    const { options } = this.#parts;
    const text = `\n${movesTable(moves)}\n`;
    if (options.json) say(text);
    else process.stdout.write(`${text}\n`);
    const what = moves.length === 1 ? "The move is" : `${moves.length} moves are`;
    say(`${what} complete. Each time both ends proved that they hold the same memory, and then the guest`);
    say("found every page of its working set as it had written it. The oracle is clean.");
  }

  async #godwit(host: DemoHost, args: readonly string[], shown?: string) {
    return succeeded(args, await this.#run(host, args, shown === undefined ? undefined : `godwit ${shown}`));
  }

  #run(host: DemoHost, args: readonly string[], shown = commandText(args)) {
    const { signal } = this.#parts;
    say(`  ${host.name}$ ${shown}`);
    return godwit(args, { socket: host.socket, signal });
  }
}
