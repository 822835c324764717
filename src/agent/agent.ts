import { mkdirSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import { privateDir, type QemuCommand, socketPath } from "../qemu/mod.ts";
import { BalloonKeeper, balloonRoutes } from "./balloon/mod.ts";
import { listenForPeers, listenPrivately } from "./bind.ts";
import { Bus } from "./bus.ts";
import { systemClock } from "./clock.ts";
import type { AgentContext } from "./context.ts";
import { doctor } from "./doctor.ts";
import { SqliteHistory } from "./history.ts";
import { makeHttp } from "./http.ts";
import { lockStateDir } from "./lock.ts";
import { parsePortRange, RelayPorts, registerMigrations, SpareRelay } from "./migrate/mod.ts";
import { describeApi } from "./openapi.ts";
import { agentPaths } from "./paths.ts";
import { eventRoutes } from "./routes/events.ts";
import { hostRoutes } from "./routes/host.ts";
import { vmRoutes } from "./routes/vms.ts";
import { VERSION } from "./version.ts";
import { Vms } from "./vms.ts";

export interface AgentOptions {
  /** Default: the system's host name. */
  readonly host?: string | undefined;
  /** The API's unix socket. Default: `agent.sock` in the run dir. */
  readonly socket?: string | undefined;
  /** HOST:PORT for other agents; without it VMs can leave, not arrive. */
  readonly peer?: string | undefined;
  readonly insecure?: boolean | undefined;
  /** MIN-MAX: where relays of arriving VMs listen. Default: any free port. */
  readonly relayPorts?: string | undefined;
  readonly stateDir?: string | undefined;
  readonly qemu?: QemuCommand | undefined;
  readonly log: Logger;
}

export interface Agent {
  readonly socket: string;
  readonly peerAddress: string | null;
  /** Stops serving and lets go of the VMs, which go on. */
  stop(): Promise<void>;
}

/**
 * Runs the agent of one host in this process.
 * Errors: AGENT_RUNNING, SOCKET_TAKEN, PATH_TOO_LONG, PATH_UNSAFE, LINK_INSECURE, USAGE.
 */
export async function runAgent(options: AgentOptions): Promise<Agent> {
  const paths = agentPaths({ stateDir: options.stateDir, socket: options.socket });
  socketPath(paths.socket);
  const undo: (() => unknown)[] = []; // what has been opened, to be closed in reverse
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    mkdirSync(paths.stateDir, { recursive: true, mode: 0o700 });
    const unlock = lockStateDir(paths.stateDir);
    undo.push(unlock);
    const { context, vms, bind } = makeContext(options, paths);
    undo.push(
      () => context.history.close(),
      () => vms.release(),
      () => context.balloons.stop(),
    );
    await vms.reopen();

    const migrations = registerMigrations(context);
    undo.push(() => migrations.stop());
    const api = makeHttp(context.log);
    const peer = makeHttp(context.log);
    undo.push(
      () => api.close(),
      () => peer.close(),
    );
    migrations.peer(peer);
    if (options.peer !== undefined) bind(await listenForPeers(peer, options.peer, context.insecure));

    const startedAt = new Date(context.clock.wallMs()).toISOString();
    await describeApi(api, VERSION);
    api.register(async (routes) => {
      const { stateDir } = paths;
      const qemu = options.qemu === undefined ? {} : { qemu: options.qemu };
      hostRoutes(routes, {
        about: () => ({
          ...{ host: context.host, version: VERSION, pid: process.pid, startedAt, stateDir },
          peerAddress: context.peerAddress,
        }),
        doctor: () => doctor({ stateDir, ...qemu }),
        history: context.history,
      });
      vmRoutes(routes, vms, context.clock);
      balloonRoutes(routes, vms, context.clock);
      eventRoutes(routes, context.events);
      migrations.api(routes);
    });
    await listenPrivately(api, paths.socket);
    return { socket: paths.socket, peerAddress: context.peerAddress, stop: close };
  } catch (error) {
    await close();
    throw error;
  }
}

function makeContext(options: AgentOptions, paths: ReturnType<typeof agentPaths>) {
  const host = options.host ?? hostname();
  const log = options.log.child({ host });
  const clock = systemClock;
  const runDir = privateDir(paths.runDir);
  const history = new SqliteHistory(join(paths.stateDir, "history.sqlite"), clock);
  const events = new Bus(clock);
  const vms = new Vms({ host, dir: join(runDir, "vms"), qemu: options.qemu ?? null }, { clock, log, events });
  let peerAddress: string | null = null;
  const context: AgentContext & { readonly history: SqliteHistory; readonly balloons: BalloonKeeper } = {
    ...{ host, runDir, log, clock, vms, history, events },
    insecure: options.insecure ?? false,
    relayPorts: new RelayPorts(options.relayPorts === undefined ? null : parsePortRange(options.relayPorts)),
    relays: new SpareRelay(),
    balloons: new BalloonKeeper({ vms, clock, log, events }),
    qemu: options.qemu ?? null,
    get peerAddress() {
      return peerAddress;
    },
  };
  const bind = (address: string) => {
    peerAddress = address;
  };
  return { context, vms, bind };
}
