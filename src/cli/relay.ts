import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { Command, Option } from "commander";
import { EXIT, GodwitError } from "../errors/mod.ts";
import { type Report, relayReport } from "../migration/mod.ts";
import type { EngineName, PolicyName } from "../pages/mod.ts";
import type { PushOrderName } from "../paging/mod.ts";
import { type RelayEvent, type RelayOptions, type RunningRelay, startRelay } from "../relay/mod.ts";
import {
  engineOption,
  example,
  note,
  pageCache,
  pagePolicyOption,
  parsed,
  pool,
  postcopyReconnectOption,
  pushOrderOption,
} from "./options.ts";
import { reportText } from "./outcome.ts";
import { bandwidth, duration, size } from "./units.ts";

/** `godwit relay source|target`: the path of the stream alone, for any orchestrator. */
export function relayCommand(): Command {
  return new Command("relay")
    .description(
      "carries QEMU's migration stream between two hosts, for any orchestrator that migrates over a unix socket",
    )
    .addCommand(sourceCommand())
    .addCommand(targetCommand());
}

function sourceCommand(): Command {
  const command = new Command("source")
    .description("takes the stream of a migrating QEMU from a unix socket to the target relay")
    .requiredOption("--listen <unix:PATH>", "where QEMU migrates to", unixPath)
    .requiredOption("--to <HOST:PORT>", "the target relay")
    .option("--bandwidth <rate>", "cap on the link, for example 1Gbit", parsed(fixedRate), 0)
    .addOption(engineOption())
    .addOption(pagePolicyOption())
    .addOption(pushOrderOption())
    .addOption(
      new Option(
        "--pool <size>",
        "post-copy: memory for pages taken from the stopped guest, such as 128MiB; faster, but they are lost with the relay. 0B: QEMU serves them itself, and an orchestrator can recover",
      )
        .argParser(parsed(pool))
        .default(0, "0B"),
    )
    .option("--socket-mode <octal>", "permissions of the socket", octal, 0o600)
    .option("--socket-group <name>", "group of the socket");
  for (const option of common()) command.addOption(option);
  example(
    command,
    "godwit relay source --listen unix:/run/vm1.sock --to 10.0.0.2:4444 --tls /etc/godwit/tls",
    "godwit relay source --listen unix:/run/vm1.sock --to 10.0.0.2:4444 --insecure --engine auto --page-cache 64MiB",
  );
  return command.action((o: CommonFlags & SourceFlags) =>
    carry(o, {
      side: "source",
      listen: o.listen,
      to: o.to,
      bandwidthBytesPerSec: o.bandwidth,
      socketMode: o.socketMode,
      ...(o.socketGroup === undefined ? {} : { socketGroup: o.socketGroup }),
      ...{ engine: o.engine, pagePolicy: o.pagePolicy, pageCacheBytes: o.pageCache },
      ...{ pushOrder: o.pushOrder, poolBytes: o.pool },
      withholdShut: false,
      ...link(o),
    }),
  );
}

function targetCommand(): Command {
  const command = new Command("target")
    .description("takes the stream from a source relay to a QEMU that waits with -incoming unix:PATH")
    .requiredOption("--listen <HOST:PORT>", "where the source relay connects; port 0 lets the system choose")
    .requiredOption("--forward <unix:PATH>", "where the target QEMU listens", unixPath)
    .option(
      "--ram-max <size>",
      "the most memory that a guest may announce (default: four times this host's)",
      parsed(size),
    )
    .option("--device-state-max <size>", "the most device state of a guest (default: 256MiB)", parsed(size))
    .option(
      "--pass-unchecked",
      "let the target QEMU have what cannot be checked: live sections of other devices (vfio, block), early device sections (virtio-mem)",
    );
  for (const option of common()) command.addOption(option);
  example(
    command,
    "godwit relay target --listen 10.0.0.2:4444 --forward unix:/run/vm1-in.sock --tls /etc/godwit/tls --peer-name alpha",
    "godwit relay target --listen 10.0.0.2:4444 --forward unix:/run/vm1-in.sock --insecure",
  );
  return command.action((o: CommonFlags & TargetFlags) =>
    carry(o, {
      side: "target",
      listen: o.listen,
      forward: o.forward,
      pageCacheBytes: o.pageCache,
      limits: {
        ...(o.ramMax !== undefined && { ramBytesMax: o.ramMax }),
        ...(o.deviceStateMax !== undefined && { deviceBytesMax: o.deviceStateMax }),
        passUnchecked: o.passUnchecked ?? false,
      },
      ...link(o),
    }),
  );
}

interface CommonFlags {
  readonly report?: string;
  readonly keep?: boolean;
  readonly tls?: string;
  readonly peerName?: string;
  readonly insecure?: boolean;
  readonly reconnectFor: number;
  readonly postcopyReconnectFor: number;
  readonly ticket: string;
  readonly pageCache: number;
}
interface SourceFlags {
  readonly engine: EngineName;
  readonly pagePolicy: PolicyName;
  readonly pushOrder: PushOrderName;
  readonly pool: number;
  readonly listen: string;
  readonly to: string;
  readonly bandwidth: number;
  readonly socketMode: number;
  readonly socketGroup?: string;
}
interface TargetFlags {
  readonly listen: string;
  readonly forward: string;
  readonly ramMax?: number;
  readonly deviceStateMax?: number;
  readonly passUnchecked?: boolean;
}

function common(): Option[] {
  return [
    new Option("--report <file>", "write the report there, one JSON line per migration"),
    new Option("--keep", "carry one migration after another instead of ending after the first"),
    new Option(
      "--tls <dir>",
      "TLS 1.3 with the other relay: a folder with ca.pem, cert.pem, key.pem, peers (`godwit pki issue` makes it)",
    ).conflicts("insecure"),
    new Option(
      "--peer-name <name>",
      "with --tls: the host that the other relay must be (default: any in peers)",
    ),
    new Option("--insecure", "allow an unencrypted link beyond loopback"),
    new Option("--reconnect-for <time>", "how long a lost link is tried again")
      .argParser(parsed(duration))
      .default(30_000, "30s"),
    postcopyReconnectOption(),
    new Option("--page-cache <size>", "memory for the pages that the target has; the smaller of both sides'")
      .argParser(parsed(pageCache))
      .default(256 * 2 ** 20, "256MiB"),
    new Option("--ticket <word>", "a word that both relays must know").default("", "none"),
  ];
}

function link(o: CommonFlags) {
  const { reconnectFor: reconnectForMs, postcopyReconnectFor: postcopyReconnectForMs, ticket } = o;
  if (o.peerName !== undefined && o.tls === undefined)
    throw new GodwitError("USAGE", { problem: "--peer-name needs --tls: a name is in a certificate" });
  const tls = o.tls === undefined ? {} : { tls: { folder: resolve(o.tls), peer: o.peerName } };
  return { ...tls, insecure: o.insecure ?? false, reconnectForMs, postcopyReconnectForMs, ticket };
}

/** Runs the relay until its migration has ended (with --keep: until a signal) and sets the exit code. */
async function carry(flags: CommonFlags, options: RelayOptions): Promise<void> {
  if (flags.insecure)
    note("godwit: --insecure: guest memory crosses the network unencrypted, open to whoever is on it");
  let relay: RunningRelay | undefined;
  /** Of a migration that a signal ended. */
  let interruptedCode: number | undefined;
  let signals = 0;
  /** A source QEMU's connection is kept open because nobody knows whether its guest may run. */
  let doubt = false;
  /** Reports are written one after the other. */
  let written = Promise.resolve();
  const { promise: over, resolve: leave } = Promise.withResolvers<number>();

  // The first signal ends what can be ended safely; one more, or one that comes in doubt, ends everything.
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const reason = new GodwitError("INTERRUPTED", { signal });
    const inDoubt = doubt;
    const decided = inDoubt || signals > 0;
    signals++;
    await (decided ? relay?.close(reason) : relay?.retire(reason));
    await written;
    if (inDoubt) leave(EXIT.inDoubt);
    else if (!doubt) leave(interruptedCode ?? (flags.keep ? EXIT.done : EXIT.aborted));
  };
  const onSignal = (signal: NodeJS.Signals): void => void end(signal);
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);

  const ended = ({ figures, error }: RelayEvent & { event: "ended" }): void => {
    const startedAt = new Date(Date.now() - figures.elapsedMs).toISOString();
    const report = relayReport({ id: randomUUID(), startedAt, carried: figures, error });
    note(reportText(report));
    written = written.then(() => writeReport(flags.report, report));
    const code = error === null ? EXIT.done : GodwitError.fromWire(error).exitCode;
    if (signals > 0) interruptedCode = code;
    if (code === EXIT.inDoubt && options.side === "source" && signals < 2) {
      doubt = true;
      note("godwit relay: the source QEMU's connection is kept open; end this relay (Ctrl-C) to decide");
    } else if (!flags.keep) void written.then(() => leave(code));
  };
  const letGo = (): void => {
    if (!doubt) return;
    doubt = false;
    note("godwit relay: the source QEMU has closed its connection itself; nothing is kept open any more");
    if (!flags.keep) void written.then(() => leave(EXIT.inDoubt));
  };
  // Where nothing is open any more but a decision is due, the process must not end by itself.
  const awake = setInterval(() => undefined, 60_000);
  try {
    relay = await startRelay(options, {
      log: (line) => note(`godwit relay: ${line}`),
      event: (event) => {
        if (event.event === "listening") note(`godwit relay: listening on ${event.address}`);
        else if (event.event === "linkLost") note(`godwit relay: link lost (${event.detail}), trying again`);
        else if (event.event === "linkResumed") note("godwit relay: link is back, nothing was lost");
        else if (event.event === "ended") ended(event);
        else if (event.event === "letGo") letGo();
      },
    });
    const code = await over;
    await relay.close(new GodwitError("INTERRUPTED", { signal: "the end" }));
    process.exitCode = code;
  } finally {
    clearInterval(awake);
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

/** A report that cannot be written does not touch the migration: it is said, and printed instead. */
async function writeReport(path: string | undefined, report: Report): Promise<void> {
  if (path === undefined) return;
  const line = `${JSON.stringify(report)}\n`;
  try {
    await writeFile(path, line, { flag: "a" });
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
    const error = new GodwitError("REPORT_NOT_WRITTEN", { path, reason }, { cause });
    note(`godwit relay: ${error.message}\n${error.wayOut}`);
    process.stdout.write(line);
  }
}

/** A cap that follows the guest's writing needs somebody who asks QEMU about its passes: an agent. */
function fixedRate(text: string): number {
  const { minBytesPerSec, maxBytesPerSec } = bandwidth(text);
  if (minBytesPerSec === 0) return maxBytesPerSec;
  const problem = `${text} follows QEMU's passes, and a relay alone does not hear of them: give one rate, or use godwit migrate`;
  throw new GodwitError("USAGE", { problem });
}

function unixPath(text: string): string {
  const path = text.startsWith("unix:") ? text.slice("unix:".length) : text;
  if (path === "" || /^(exec|fd|file|tcp):/.test(path))
    throw new GodwitError("USAGE", { problem: `not unix:PATH: ${text}` });
  return path;
}

function octal(text: string): number {
  if (!/^0?[0-7]{3}$/.test(text))
    throw new GodwitError("USAGE", { problem: `not an octal mode such as 0660: ${text}` });
  return Number.parseInt(text, 8);
}
