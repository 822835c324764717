/**
 * Goal: a guest moves over TLS and nobody on the network can read its memory; a host that may not send or take it is refused by
 * name while the guest goes on where it runs; new certificates are used with no restart; a ticket is good once, and not for long.
 * Method: agents in this process, real relays and QEMUs, the lab guest's own oracle. What crosses is captured by tcpdump; the
 * guest's memory is full of known words. The control is the same move without TLS: there the words, and the ticket, are found.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { artefacts } from "../../lab/setup/mod.ts";
import { PeerClient } from "../../src/agent/migrate/peerClient.ts";
import { newTicket } from "../../src/agent/migrate/relayTrust.ts";
import type { ErrorCode } from "../../src/errors/mod.ts";
import { Arena, connectLink, type LinkHandler } from "../../src/link/mod.ts";
import type { Report } from "../../src/migration/mod.ts";
import { ANY_HOST, openTls } from "../../src/trust/mod.ts";
import { Capture, noCapture } from "../tools/capture_packets.ts";
import { Host, startGuest, until, verified } from "../tools/pair.ts";
import { TestPki } from "../tools/tls.ts";

const LIMIT = { timeout: 480_000 };
const GUEST = { name: "guest", memoryMib: 80, setMib: 8, mode: "text" } as const;
/** Words of the guest's manner `text`, as they stand in its memory (lab/guest/workload.c). */
const MARKERS = ["winter  ", "switch  ", "summer  "];
const { qemus } = artefacts();
const [qemu] = qemus;
assert(qemu !== undefined);

const folder = mkdtempSync(join(tmpdir(), "gw-tls-"));
const pki = new TestPki();
const hosts: Host[] = [];
after(async () => {
  for (const host of hosts) await host.end();
  pki[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function start(name: string, more: { tls?: string; ticketMs?: number; relayPorts?: string } = {}) {
  const host = await Host.start({ name, qemu: qemu!, ...more });
  hosts.push(host);
  return host;
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function move(from: Host, to: Host): Promise<Report> {
  return from.migrate({ vm: GUEST.name, to: to.peer, engine: "plain" });
}

async function arrives(from: Host, to: Host): Promise<void> {
  const report = await move(from, to);
  assert.equal(report.error, null);
  assert.equal(report.status, "completed");
  assert.equal(report.equal, true);
  assert.deepEqual(await from.vms(), []);
}

/** The order is refused by this name; the guest runs where it was, and nothing is left at the other side. */
async function refused(from: Host, to: Host, code: ErrorCode): Promise<void> {
  const report = await move(from, to);
  assert.equal(report.error?.code, code, `${report.error?.message}`);
  assert.notEqual(report.status, "completed");
  assert.equal((await from.vm(GUEST.name)).status, "running");
  await until(async () => (await to.vms()).length === 0, "nothing is left at the target", 10_000);
}

/** A move with all that crossed between the two hosts, and whether the guest's words were in it. */
async function captured(from: Host, to: Host, relayPort: number): Promise<{ words: boolean; bytes: Buffer }> {
  const ports = [relayPort, Number(to.peer.split(":").at(-1))];
  const capture = await Capture.start(join(folder, `${relayPort}.pcap`), ports);
  await arrives(from, to);
  const bytes = await capture.end();
  assert(bytes.length > GUEST.setMib * 2 ** 20, `the guest was captured: ${bytes.length} bytes`);
  return { words: MARKERS.some((marker) => bytes.includes(marker)), bytes };
}

test("with TLS nothing of a guest's memory can be read on the way; without, all of it", LIMIT, async (t) => {
  const why = noCapture();
  if (why !== undefined) return t.skip(why);
  const [portA, portB] = [await freePort(), await freePort()];
  const plainA = await start("a", { relayPorts: `${portA}` });
  const plainB = await start("b", { relayPorts: `${portB}` });
  await startGuest(plainA, GUEST);
  const plain = await captured(plainA, plainB, portB);
  assert.equal(plain.words, true, "the control: a capture can find them");
  const ticket = /"ticket":"([\w-]+)"/.exec(plain.bytes.toString("latin1"))?.[1];
  assert.equal(ticket?.length, 43, "256 bits in base64url");
  for (const host of [plainA, plainB]) assert(!host.log.includes(ticket!), "no log holds a ticket");
  assert.doesNotMatch(JSON.stringify(await plainA.call("GET", "/v1/history")), new RegExp(ticket!));

  // The same guest, back again, between agents that have certificates now.
  hosts.length = 0;
  const a = await plainA.again({ tls: await pki.host("a") });
  hosts.push(a);
  const b = await plainB.again({ tls: await pki.host("b") });
  hosts.push(b);
  const secure = await captured(b, a, portA);
  await verified(a, GUEST.name, 2);
  assert.equal(secure.words, false);
  assert.equal(secure.bytes.includes('"ticket"'), false);
});

test(
  "a host that may not is refused by name, and with new files it is let in, with no restart",
  LIMIT,
  async () => {
    let [from, to] = hosts; // where the test before left its guest
    if (from === undefined || to === undefined) {
      from = await start("a", { tls: await pki.host("a") });
      to = await start("b", { tls: await pki.host("b") });
      await startGuest(from, GUEST);
    }
    const there = await pki.host(to.name);
    await pki.host(from.name, { stranger: true });
    await refused(from, to, "TLS_UNTRUSTED");
    await pki.host(from.name, { expired: true });
    await refused(from, to, "TLS_EXPIRED");
    await pki.host(from.name);
    pki.setPeers(there, "somebody");
    await refused(from, to, "TLS_NOT_AUTHORISED");
    pki.setPeers(there, from.name, "e");

    // No certificate at all, at the peer API.
    const [host, port] = [to.peer.split(":")[0]!, Number(to.peer.split(":")[1])];
    const ca = readFileSync(join(there, "ca.pem"));
    const bare = { host, port, ca, path: "/peer/v1/clock", checkServerIdentity: () => undefined };
    const bareStatus = await new Promise((resolve, reject) => {
      request(bare, (answer) => resolve(answer.statusCode))
        .once("error", reject)
        .end();
    });
    assert.equal(bareStatus, 403);
    const audit = JSON.stringify(await to.call("GET", "/v1/audit"));
    for (const code of ["TLS_UNTRUSTED", "TLS_EXPIRED", "TLS_NOT_AUTHORISED", "TLS_NO_CERTIFICATE"])
      assert(audit.includes(code), `${code} is in the audit log`);

    const late = await start("late", { tls: await pki.host("late"), ticketMs: 0 });
    await refused(from, late, "TICKET_EXPIRED");
    await usedTwice(from, to);
    await verified(from, GUEST.name, 2);
    await arrives(from, to);
  },
);

/** Another host that may speak to `to` orders and connects; its ticket is shown a second time, by a host that has read it. */
async function usedTwice(from: Host, to: Host): Promise<void> {
  const e = await openTls(await pki.host("e"));
  const thief = await openTls(await pki.host(from.name));
  const peer = new PeerClient(to.peer, e);
  const { spec, qemuVersion } = await from.vm(GUEST.name);
  const ticket = newTicket();
  const order = {
    ...{
      id: "m-twice",
      sourceHost: "e",
      sourcePeer: null,
      ticket,
      spec: { ...spec, name: "other" } as never,
      postcopy: false,
    },
    ...{
      pageCacheBytes: 0,
      postcopyReconnectForMs: 0,
      balloon: { sizeBytes: null, auto: false },
      qemuVersion,
    },
  };
  const { relayAddress } = await peer.prepare(order, AbortSignal.timeout(60_000));
  const ended = Promise.withResolvers<void>();
  const silent: LinkHandler = {
    frame: (frame) => frame.release(),
    drain: () => undefined,
    ended: () => ended.resolve(),
  };
  const connect = (tls: typeof e) =>
    connectLink(
      {
        ...{ host: "127.0.0.1", port: Number(relayAddress.split(":").at(-1)), ticket, insecure: false },
        greeting: Buffer.from(JSON.stringify({ seed: { low: 1, high: 2 }, pageCacheBytes: 0 })),
        ...{
          reconnectForMs: 1000,
          bandwidthBytesPerSec: 0,
          arena: new Arena(new Uint8Array(4 * 2 ** 20), 2 ** 20),
        },
        tls: { tls, expected: ANY_HOST },
      },
      silent,
    );
  // The relay waits for the host that ordered, whoever else may have the ticket.
  await assert.rejects(connect(thief), { code: "TLS_NAME" });
  const { link } = await connect(e);
  await assert.rejects(connect(e), { code: "TICKET_USED" });
  // Nor may another decide on this move.
  await assert.rejects(new PeerClient(to.peer, thief).commit("m-twice"), { code: "TLS_NOT_AUTHORISED" });
  await peer.discard("m-twice", { code: "CANCELLED", fields: {}, message: "" });
  link.finish().catch(() => undefined);
  await ended.promise;
}
