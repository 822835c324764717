import { mkdirSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Server as TlsServer } from "node:tls";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { GodwitError } from "../errors/mod.ts";
import { privateDir, type QemuCommand, socketPath } from "../qemu/mod.ts";
import { ANY_HOST, openTls, type Tls } from "../trust/mod.ts";
import { AuditLog, byItself } from "./audit.ts";
import { BalloonKeeper, balloonRoutes } from "./balloon/mod.ts";
import { listenAt, listenForPeers, listenPrivately } from "./bind.ts";
import { Bus } from "./bus.ts";
import { plainPeer, socketOwner, tlsCaller } from "./caller.ts";
import { systemClock } from "./clock.ts";
import type { AgentContext } from "./context.ts";
import { doctor } from "./doctor.ts";
import { type Guard, guard } from "./guard.ts";
import { SqliteHistory } from "./history.ts";
import { makeHttp } from "./http.ts";
import { lockStateDir } from "./lock.ts";
import { parsePortRange, RelayPorts, registerMigrations, SpareRelay, TICKET_MS } from "./migrate/mod.ts";
import { describeApi } from "./openapi.ts";
import { agentPaths } from "./paths.ts";
import { Refusals, refusedPeer } from "./refusals.ts";
import { ROLES } from "./roles.ts";
import { auditRoutes } from "./routes/audit.ts";
import { eventRoutes } from "./routes/events.ts";
import { hostRoutes } from "./routes/host.ts";
import { vmRoutes } from "./routes/vms.ts";
import { SECRETS } from "./secrets.ts";
import { shared } from "./shared.ts";
import { trustFinding } from "./trustFinding.ts";
import { VERSION } from "./version.ts";
import { Vms } from "./vms.ts";

export interface AgentOptions {
  /** Default: the certificate's name, else the system's. */
  readonly host?: string | undefined;
  /** The API's unix socket. Default: `agent.sock` in the run dir. */
  readonly socket?: string | undefined;
  /** HOST:PORT for other agents; without it VMs can leave, not arrive. */
  readonly peer?: string | undefined;
  readonly insecure?: boolean | undefined;
  /** HOST:PORT of the API for people with a certificate; needs `tls`. Default: the unix socket alone. */
  readonly api?: string | undefined;
  /** The folder of this host's certificates (docs/security.md). */
  readonly tls?: string | undefined;
  /** How long after a preparation the source's relay may come, ms. Default: a minute. */
  readonly ticketMs?: number | undefined;
  /** MIN-MAX: where relays of arriving VMs listen. Default: any free port. */
  readonly relayPorts?: string | undefined;
  /** Folders below which the kernels and disks of arriving VMs must lie. Default: anywhere. */
  readonly vmFiles?: readonly string[] | undefined;
  readonly stateDir?: string | undefined;
  readonly qemu?: QemuCommand | undefined;
  readonly log: Logger;
}

export interface Agent {
  readonly socket: string;
  readonly peerAddress: string | null;
  /** HOST:PORT of the API, where it is there over TCP, too. */
  readonly apiAddress: string | null;
  /** Stops serving and lets go of the VMs, which go on. */
  stop(): Promise<void>;
}

/**
 * Runs the agent of one host in this process.
 * Errors: AGENT_RUNNING, SOCKET_TAKEN, PATH_TOO_LONG, PATH_UNSAFE, LINK_INSECURE, USAGE, TLS_FOLDER, TLS_KEY_OPEN.
 */
export async function runAgent(options: AgentOptions): Promise<Agent> {
  const paths = agentPaths({ stateDir: options.stateDir, socket: options.socket });
  socketPath(paths.socket);
  if (options.api !== undefined && options.tls === undefined)
    throw new GodwitError("USAGE", {
      problem: "--api needs --tls: the role of a caller is in its certificate",
    });
  const tls = await tlsOf(options);
  const undo: (() => unknown)[] = []; // what has been opened, to be closed in reverse
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    mkdirSync(paths.stateDir, { recursive: true, mode: 0o700 });
    const unlock = lockStateDir(paths.stateDir);
    undo.push(unlock);
    const { context, vms, bind, audit, refusals } = makeContext(options, paths, tls);
    undo.push(
      () => audit.close(),
      () => refusals.stop(),
      () => context.history.close(),
      () => vms.release(),
      () => context.balloons.stop(),
    );
    audit.write(byItself("agent started", `version ${VERSION}, uid ${process.geteuid?.()}`));
    undo.push(() => audit.write(byItself("agent stopped", null)));
    if (context.insecure && tls === null)
      context.log.warn("--insecure: orders and guest memory may cross the network unencrypted");
    await vms.reopen();

    const migrations = registerMigrations(context);
    undo.push(() => migrations.stop());
    const { clock, log } = context;
    const before = { audit, refusals, clock };
    const server = (secure: Tls | null) => {
      const made = makeHttp(log, secure?.serverOptions());
      if (secure !== null) secure.keepFresh(made.server as unknown as TlsServer);
      undo.push(() => made.close());
      return made;
    };

    const peer = server(tls);
    const expectHost = tls === null ? plainPeer : tlsCaller(tls, ANY_HOST, "peer API", context.onRefused);
    guard(peer, { ...before, identify: expectHost });
    migrations.peer(peer);
    if (options.peer !== undefined)
      bind(await listenForPeers(peer, options.peer, context.insecure || tls !== null));

    const startedAt = new Date(clock.wallMs()).toISOString();
    const { stateDir } = paths;
    const examine = shared(async () => [
      ...(await doctor({ stateDir, ...(options.qemu !== undefined && { qemu: options.qemu }) })),
      trustFinding(tls, context.insecure, clock.wallMs()),
    ]);
    const serve = async (api: FastifyInstance, identify: Guard["identify"]) => {
      guard(api, { ...before, identify });
      await describeApi(api, VERSION);
      api.register(async (routes) => {
        hostRoutes(routes, {
          about: () => ({
            ...{ host: context.host, version: VERSION, pid: process.pid, startedAt, stateDir },
            peerAddress: context.peerAddress,
          }),
          doctor: examine,
          history: context.history,
        });
        auditRoutes(routes, audit);
        vmRoutes(routes, vms, clock);
        balloonRoutes(routes, vms, clock);
        eventRoutes(routes, context.events);
        migrations.api(routes);
      });
      return api;
    };
    let apiAddress: string | null = null;
    if (options.api !== undefined && tls !== null) {
      const identify = tlsCaller(tls, { kinds: ROLES }, "API", context.onRefused);
      apiAddress = await listenAt(await serve(server(tls), identify), options.api, "--api");
    }
    await listenPrivately(await serve(server(null), socketOwner), paths.socket);
    return { socket: paths.socket, peerAddress: context.peerAddress, apiAddress, stop: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Errors: TLS_FOLDER, TLS_KEY_OPEN. */
async function tlsOf({ tls, log }: AgentOptions): Promise<Tls | null> {
  if (tls === undefined) return null;
  const warn = (err: GodwitError) =>
    log.error({ err }, "the TLS folder has changed and cannot be used; what was in it before still is");
  const opened = await openTls(tls, warn);
  if (opened.identity.kind === "host") return opened;
  const problem = `its certificate is of the kind ${opened.identity.kind}, and an agent needs one of a host`;
  throw new GodwitError("TLS_FOLDER", { path: tls, problem });
}

function makeContext(options: AgentOptions, paths: ReturnType<typeof agentPaths>, tls: Tls | null) {
  const host = options.host ?? tls?.identity.name ?? hostname();
  const log = options.log.child({ host }, { redact: { paths: [...SECRETS], censor: "(secret)" } });
  const clock = systemClock;
  const runDir = privateDir(paths.runDir);
  const history = new SqliteHistory(join(paths.stateDir, "history.sqlite"), clock);
  const audit = new AuditLog(join(paths.stateDir, "audit.sqlite"), clock, log);
  const refusals = new Refusals((line) => audit.write(line));
  const events = new Bus(clock);
  const vms = new Vms({ host, dir: join(runDir, "vms"), qemu: options.qemu ?? null }, { clock, log, events });
  let peerAddress: string | null = null;
  const context: AgentContext & { readonly history: SqliteHistory; readonly balloons: BalloonKeeper } = {
    ...{ host, runDir, log, clock, vms, history, events },
    insecure: options.insecure ?? false,
    tls,
    ticketMs: options.ticketMs ?? TICKET_MS,
    onRefused: (refused) => refusals.add(refusedPeer(refused)),
    relayPorts: new RelayPorts(options.relayPorts === undefined ? null : parsePortRange(options.relayPorts)),
    relays: new SpareRelay(),
    balloons: new BalloonKeeper({ vms, clock, log, events }),
    vmFiles: options.vmFiles ?? null,
    qemu: options.qemu ?? null,
    get peerAddress() {
      return peerAddress;
    },
  };
  const bind = (address: string) => {
    peerAddress = address;
  };
  return { context, vms, bind, audit, refusals };
}
