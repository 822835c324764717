import { Command, Option } from "commander";
import { runAgent } from "../agent/mod.ts";
import { example, note, socketOption } from "./options.ts";

interface Flags {
  host?: string;
  socket?: string;
  peer?: string;
  insecure?: boolean;
  api?: string;
  tls?: string;
  relayPorts?: string;
  vmFiles?: string[];
  stateDir?: string;
  qemu?: string;
  qemuArg?: string[];
  logLevel: string;
}

/** `godwit agent run` */
export function agentRunCommand(): Command {
  const run = new Command("run")
    .description("run this host's agent until SIGTERM or Ctrl-C; its VMs go on without it")
    .option("--host <name>", "this host's name in messages (default: the system's)")
    .addOption(socketOption())
    .option(
      "--peer <host:port>",
      "listen here for agents of other hosts; without it VMs can leave, not arrive",
    )
    .option(
      "--relay-ports <min-max>",
      "ports for the relays of arriving VMs, one each, such as 7710-7719 for a firewall (default: any free port)",
    )
    .option(
      "--tls <dir>",
      "TLS 1.3 for everything between hosts: a folder with ca.pem, cert.pem, key.pem, peers (`godwit pki issue` makes it)",
    )
    .option("--api <host:port>", "the API over TCP, too, for people with a certificate; needs --tls")
    .addOption(
      new Option(
        "--insecure",
        "allow plain connections beyond loopback: the network between the hosts is trusted",
      ).conflicts("tls"),
    )
    .option(
      "--vm-files <dir...>",
      "arriving VMs may use kernels and disks below these folders only (default: any file that the agent may open)",
    )
    .option("--state-dir <dir>", "where state is kept (default: ~/.local/state/godwit)")
    .option("--qemu <binary>", "QEMU to run VMs with")
    .option("--qemu-arg <arg...>", "given to that QEMU always, e.g. --qemu-arg=-L --qemu-arg=DIR")
    .option("--log-level <level>", "trace, debug, info, warn, error or silent", "info")
    .action(start);
  example(
    run,
    "godwit agent run --peer 127.0.0.1:7700",
    "godwit agent run --peer 10.0.0.2:7700 --tls /etc/godwit/tls",
    "godwit agent run --host beta --peer 10.0.0.2:7700 --insecure --state-dir /var/lib/godwit",
    "godwit agent run --peer 10.0.0.2:7700 --api 10.0.0.2:7701 --tls /etc/godwit/tls",
    "godwit agent run --peer 10.0.0.2:7700 --relay-ports 7710-7719 --insecure",
  );
  return new Command("agent").description("the agent, one per host").addCommand(run);
}

async function start(flags: Flags): Promise<void> {
  const { default: pino } = await import("pino");
  const log = pino({ level: flags.logLevel }, pino.destination({ fd: 2, sync: true }));
  const { host, socket, peer, insecure, api, tls, relayPorts, vmFiles, stateDir } = flags;
  const qemu = flags.qemu === undefined ? undefined : { binary: flags.qemu, args: flags.qemuArg ?? [] };
  const stopAsked = new Promise<NodeJS.Signals>((resolve) => {
    process.once("SIGTERM", resolve);
    process.once("SIGINT", resolve);
  });
  if (insecure)
    note(
      "godwit: --insecure: orders and guest memory cross the network unencrypted, open to whoever is on it",
    );
  const agent = await runAgent({
    host,
    socket,
    peer,
    insecure,
    api,
    tls,
    relayPorts,
    vmFiles,
    stateDir,
    qemu,
    log,
  });
  note(
    `agent ready: API at ${agent.socket}${agent.apiAddress ? ` and ${agent.apiAddress}` : ""}${agent.peerAddress ? `, other agents at ${agent.peerAddress}` : ""}`,
  );
  log.info({ signal: await stopAsked }, "stopping; VMs go on");
  await agent.stop();
}
