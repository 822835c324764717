import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Report, ReportStatus } from "../../src/migration/mod.ts";
import { failure, must, run } from "./command.ts";
import { DOMAIN } from "./domain.ts";
import type { GuestConsole } from "./guest_console.ts";
import { HOST_FOLDER, type LibvirtHost } from "./host.ts";
import { watchLifecycle } from "./lifecycle.ts";
import { type Relay, type RelayPair, startRelays } from "./relays.ts";

export const CONSOLE = `${HOST_FOLDER}/console.log`;
/** The source relay listens here on one host, the target QEMU on the other. */
export const SOCKET = `${HOST_FOLDER}/lab.sock`;
const VERIFY_MS = 120_000;
const FAREWELL_MS = 30_000;

export interface MoveOptions {
  readonly name: string;
  readonly from: LibvirtHost;
  readonly to: LibvirtHost;
  /** Given to `virsh migrate` beside the domain and the two addresses. */
  readonly flags: readonly string[];
  readonly console: GuestConsole;
  readonly signal: AbortSignal;
}

export interface Moved {
  /** The command as one types it. */
  readonly command: string;
  /** The source relay's. */
  readonly report: Report;
  /** What libvirt told at the target. */
  readonly lifecycle: readonly string[];
  /** Longest time between two heartbeats, ms, watched from outside. */
  readonly blackoutMs: number;
}

/**
 * Moves the guest with virsh through two new relays, and believes nobody: libvirt, both relays and the guest's oracle
 * have to say that it went well.
 * @throws COMMAND_FAILED, GUEST_CORRUPT, GUEST_SILENT, the signal's reason
 */
export async function move(options: MoveOptions): Promise<Moved> {
  const { from, to, signal, console: guest } = options;
  const { relays, command } = await prepare(options);
  const events = watchLifecycle(to);
  guest.oracle.takeBlackoutMs();
  const { exitCode, stderr } = await run(command, signal);
  if (exitCode !== 0) throw failure(command, exitCode, told(stderr, relays, to));

  const report = await carried(relays, 0);
  await carried({ source: relays.target, target: relays.source }, 0);
  if (report.status !== ReportStatus.completed || report.equal !== true || report.pages.sent === 0)
    throw failure(command, exitCode, `the relay's report: ${JSON.stringify(report)}`);
  await expectAt(to, from, command);
  guest.moved();
  await verified(options, to);
  const blackoutMs = guest.oracle.takeBlackoutMs();
  return { command: command.slice(4).join(" "), report, lifecycle: await events.stop(), blackoutMs };
}

/**
 * Starts a slow move, cancels it with `virsh domjobabort` in the middle of memory, and sees to it that the guest goes
 * on where it was and that both relays say so.
 * @throws as `move`
 */
export async function cancelledMove(options: MoveOptions): Promise<Report> {
  const { from, to, signal, console: guest } = options;
  const { relays, command } = await prepare(options);
  const migrating = run(command, signal);
  await Promise.race([migrating, memoryOnItsWay(from, signal)]);
  await must(from.virsh("domjobabort", DOMAIN), signal);
  const { exitCode, stderr } = await migrating;
  if (exitCode === 0) throw failure(command, exitCode, "it went through although it was cancelled");
  const report = await carried(relays, 4);
  if (report.status !== ReportStatus.aborted || report.streamBytes === 0)
    throw failure(
      command,
      exitCode,
      `${told(stderr, relays, from)}\nthe relay's report: ${JSON.stringify(report)}`,
    );
  await expectAt(from, to, command);
  guest.stayed();
  await verified(options, from);
  return report;
}

async function prepare(options: MoveOptions): Promise<{ relays: RelayPair; command: readonly string[] }> {
  const { name, from, to, flags } = options;
  rmSync(to.outside(CONSOLE), { force: true });
  const relays = await startRelays(from, to, SOCKET, name);
  options.console.follow(to.outside(CONSOLE));
  const addresses = ["--desturi", to.uri, "--migrateuri", `unix://${SOCKET}`];
  return { relays, command: from.virsh("migrate", "--live", ...flags, DOMAIN, ...addresses) };
}

async function memoryOnItsWay(from: LibvirtHost, signal: AbortSignal): Promise<void> {
  for (;;) {
    const { stdout } = await run(from.virsh("domjobinfo", DOMAIN), signal);
    if (/^Memory processed:\s+[1-9]/m.test(stdout)) return;
    await sleep(100, undefined, { signal });
  }
}

/** The report of the pair's source, when both have ended with this exit code. */
async function carried(relays: RelayPair, wanted: number): Promise<Report> {
  const late = sleep(FAREWELL_MS, null, { ref: false });
  const ends = await Promise.race([Promise.all([relays.source.ended, relays.target.ended]), late]);
  const [source, target] = ends ?? [];
  const report = source?.report ?? null;
  if (source?.exitCode === wanted && target?.exitCode === wanted && report !== null) return report;
  const codes = ends === null ? "they have not ended" : `exit codes ${source?.exitCode}, ${target?.exitCode}`;
  throw failure(["godwit", "relay"], source?.exitCode ?? null, `${codes}, not ${wanted}\n${saidBy(relays)}`);
}

async function expectAt(here: LibvirtHost, gone: LibvirtHost, command: readonly string[]): Promise<void> {
  const [there, left] = await Promise.all([here.domainState(DOMAIN), gone.domainState(DOMAIN)]);
  if (there !== "running" || left !== null)
    throw failure(command, 0, `the domain is ${there} on ${here.name} and ${left} on ${gone.name}`);
}

/** A pass that was under way has checked pages before the move, so the second one counts. */
async function verified({ console: guest, signal }: MoveOptions, host: LibvirtHost): Promise<void> {
  const goal = guest.oracle.passesOk + 2;
  await guest.until({
    is: (oracle) => oracle.passesOk >= goal,
    host: host.name,
    withinMs: VERIFY_MS,
    signal,
  });
}

function told(stderr: string, relays: RelayPair, host: LibvirtHost): string {
  return `${stderr.trim()}\n${saidBy(relays)}\n${host.logs(DOMAIN)}`;
}

function saidBy({ source, target }: RelayPair): string {
  const of = (side: string, relay: Relay) => `${side} relay: ${relay.said().trim()}`;
  return `${of("source", source)}\n${of("target", target)}`;
}
