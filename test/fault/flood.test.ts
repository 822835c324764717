/**
 * Goal: whoever can reach an agent's port cannot harm a move that runs: neither with connections that never say what they want nor
 * with requests as fast as they are answered; and nobody learns a move's ticket from what agents write or say.
 * Method: a real move of the lab guest between two agents over plain HTTP on loopback, so that the nuisance (another process) has
 * the very address that the honest peer has; the ticket is read off the wire, by a proxy before the peer API, and looked for in
 * everything that is written, at the log level debug.
 */
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import { artefacts } from "../../lab/setup/mod.ts";
import type { AuditEntry } from "../../src/agent/mod.ts";
import type { FloodCounts } from "../tools/flood.ts";
import { Host, startGuest, until, verified } from "../tools/pair.ts";

const GUEST = { name: "guest", memoryMib: 128, setMib: 12 };
/** The guest's memory takes a few seconds: time for a nuisance. */
const BYTES_PER_SEC = 2_500_000;
const hosts: Host[] = [];
const floods: ChildProcess[] = [];
after(async () => {
  for (const flood of floods) flood.kill("SIGKILL");
  await Promise.all(hosts.map((host) => host.end()));
});

/** Passes connections on, and keeps what the first side says. */
async function listenIn(to: string): Promise<{ server: Server; address: string; heard: () => string }> {
  let heard = "";
  const port = Number(to.split(":")[1]);
  const server = createServer((client) => {
    const onward = connect(port, "127.0.0.1");
    client.on("data", (chunk) => {
      heard += chunk.toString("latin1");
    });
    client.pipe(onward).pipe(client);
    for (const socket of [client, onward]) socket.on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1").unref();
  await once(server, "listening");
  const { port: own } = server.address() as { port: number };
  return { server, address: `127.0.0.1:${own}`, heard: () => heard };
}

function flood(address: string): () => FloodCounts {
  const child = fork(join(import.meta.dirname, "../tools/flood.ts"), [address.split(":")[1]!]);
  floods.push(child);
  let counts: FloodCounts = { dropped: 0, open: 0, answers: {} };
  child.on("message", (now: FloodCounts) => {
    counts = now;
  });
  return () => counts;
}

test("a move goes on to its end under slow connections and a flood, and its ticket stays secret", async () => {
  const [qemu] = artefacts().qemus;
  const from = await Host.start({ name: "a", qemu: qemu! });
  hosts.push(from);
  const to = await Host.start({ name: "b", qemu: qemu! });
  hosts.push(to);
  await startGuest(from, GUEST);
  const wire = await listenIn(to.peer);
  const id = await from.begin({ vm: "guest", to: wire.address, bandwidthBytesPerSec: BYTES_PER_SEC });
  const phase = async () => (await from.status(id)).phase;
  await until(async () => (await phase()) === "precopy", "pre-copy to begin", 60_000);
  const counts = flood(to.peer);
  const answered = () => Object.values(counts().answers).reduce((sum, n) => sum + n, 0);
  // All that it can do, while the guest still runs at the source.
  await until(async () => counts().dropped > 20 && answered() > 300, "the flood", 60_000);
  assert.equal(await phase(), "precopy", "there was a move to harm");
  const report = await from.report(id);
  if (report.error !== null) process.stderr.write(`${from.log}\n${to.log}\n`);
  assert.equal(report.error, null);
  assert.deepEqual([report.status, report.equal], ["completed", true]);
  const during = counts();
  assert((during.answers["429"] ?? 0) > 0, `refused beyond the rate: ${JSON.stringify(during)}`);
  assert(during.dropped > 20, "slow connections were closed");
  await verified(to, "guest", 2);
  assert.equal((await to.vm("guest")).status, "running", "and the API answers under the flood");

  floods.pop()!.kill("SIGKILL");
  const { broken } = await to.call<{ broken: object | null }>("GET", "/v1/audit/verdict");
  assert.equal(broken, null);
  const audits = await Promise.all(
    hosts.map((host) => host.call<AuditEntry[]>("GET", "/v1/audit?limit=1000")),
  );
  const [ordered, arrived] = audits.map((entries) =>
    entries
      .filter((e) => e.migration === id && e.outcome === "accepted")
      .map(({ order, subject }) => [order, subject]),
  );
  assert.deepEqual(ordered, [["migrate", "guest"]]);
  assert.deepEqual(arrived, [
    ["prepare", "guest"],
    ["commit", null],
  ]);
  assert(audits[1]!.length < 200, `${audits[1]!.length} entries: a flood does not fill the audit log`);

  const ticket = /"ticket":"([^"]+)"/.exec(wire.heard())?.[1];
  assert(ticket !== undefined && ticket.length >= 32, "the ticket was on the wire");
  const said = [from.log, to.log, JSON.stringify([report, audits, await from.status(id)])].join("\n");
  assert(said.includes(id), "what is searched is about this move");
  assert(!said.includes(ticket), "the ticket is nowhere");
  wire.server.close();
});
