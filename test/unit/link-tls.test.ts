/**
 * Goal: a link with TLS carries what a plain one does, and nobody opens one who may not: each is turned away by name, before
 * anything that it says is looked at; tickets open one session, in time; new files are used with no restart.
 * Method: both real ends on loopback with certificates as users make them; a line in between that resets connections. What
 * crosses is read on that line. Strangers are plain sockets and Node's own TLS clients.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import tls from "node:tls";
import type { ErrorCode, GodwitError } from "../../src/errors/mod.ts";
import { connectLink, type LinkOptions } from "../../src/link/mod.ts";
import { ANY_HOST, type Expected, openTls, type Refused } from "../../src/trust/mod.ts";
import { DataKind } from "../../src/wire/mod.ts";
import { TestPki } from "../tools/tls.ts";
import { options, Pair, Recorder } from "./link-support.ts";

const pki = new TestPki();
after(() => pki[Symbol.dispose]());
const alpha = await pki.host("alpha");
const beta = await pki.host("beta");

async function linkTls(folder: string, expected: Expected = ANY_HOST): Promise<Pick<LinkOptions, "tls">> {
  return { tls: { tls: await openTls(folder), expected } };
}

/** A target of beta's that tells whom it refused. */
async function target(more: Partial<LinkOptions> = {}): Promise<{ pair: Pair; refused: Refused[] }> {
  const refused: Refused[] = [];
  const onRefused = (one: Refused) => void refused.push(one);
  const pair = await new Pair({}, { ...(await linkTls(beta)), onRefused, ...more }).listen();
  return { pair, refused };
}

async function connectFails(pair: Pair, more: Partial<LinkOptions>, code: ErrorCode): Promise<GodwitError> {
  const connecting = connectLink({ ...options(more), port: pair.server.port }, new Recorder());
  return connecting.then(
    () => assert.fail(`it was to fail with ${code}`),
    (error: GodwitError) => {
      assert.equal(error.code, code, error.message);
      return error;
    },
  );
}

test("everything arrives in order, over connections that are reset, and none of it can be read on the way", async () => {
  const marker = Buffer.from("the guest's memory ".repeat(6_000));
  const pair = new Pair(await linkTls(alpha), await linkTls(beta));
  await pair.open({ line: true });
  const { line } = pair;
  assert(line !== undefined);
  const seen: Buffer[] = [];
  line.saw = (bytes) => void seen.push(Buffer.from(bytes));
  line.cutAtBytes = 3_000_001;
  for (let index = 0; index < 40; index++) {
    const drained = pair.source.drained;
    if (!pair.link.send(DataKind.records, [marker]))
      await pair.source.until(() => pair.source.drained > drained);
  }
  pair.targetLink.send(DataKind.returnPath, [Buffer.from("pong")]);
  await Promise.all([pair.link.finish(), pair.targetLink.finish()]);
  assert.equal(pair.link.stats.reconnects, 1);
  assert.equal(pair.target.frames.length, 40);
  for (const { bytes } of pair.target.frames) assert(bytes.equals(marker));
  assert.equal(pair.source.frames[0]?.bytes.toString(), "pong");
  const crossed = Buffer.concat(seen);
  assert(crossed.length > 40 * marker.length, "the line has seen all of it");
  assert.equal(crossed.indexOf("guest's memory"), -1);
  assert.equal(crossed.indexOf("swordfish"), -1, "nor the ticket");
  assert(pair.arenasFree);
  await pair.close();
});

test("a source whose certificate is wrong is refused by name, and gets no session", async () => {
  const { pair, refused } = await target();
  const cases: readonly [ErrorCode, Partial<LinkOptions>, string | null][] = [
    ["TLS_UNTRUSTED", await linkTls(await pki.host("mallory", { stranger: true })), null],
    ["TLS_NOT_AUTHORISED", await linkTls(await pki.host("maria", { kind: "admin" })), "maria"],
  ];
  for (const [code, more] of cases)
    assert.equal((await connectFails(pair, more, code)).fields["by" as never], "beta");
  const late = await pki.host("gamma");
  const lateTls = await linkTls(late);
  await pki.host("gamma", { expired: true }); // it ran out while the host was up
  const expired = await connectFails(pair, lateTls, "TLS_EXPIRED");
  assert.match(expired.message, /host gamma.*held until/);
  assert.deepEqual(
    refused.map(({ what, identity, error }) => [what, identity?.name ?? null, error.code]),
    [...cases.map(([code, , name]) => ["link", name, code]), ["link", null, "TLS_EXPIRED"]],
  );
  assert.equal(pair.sessions, 0);
  await pair.close();
});

test("only the hosts in peers come in, also when that changed a moment ago; and only the one that is expected", async () => {
  const { pair } = await target();
  pki.setPeers(beta, "delta", "# alpha is not there");
  await connectFails(pair, await linkTls(alpha), "TLS_NOT_AUTHORISED");
  pki.setPeers(beta, "*");
  const other = { kinds: ["host"], name: "delta" } as const;
  // The source's own judgement: it leaves before it has said anything.
  const error = await connectFails(pair, await linkTls(alpha, other), "TLS_NAME");
  assert.match(error.message, /At 127\.0\.0\.1:\d+ is host beta, and alpha expects host delta/);
  await pair.close();
  const named = await target(await linkTls(beta, other));
  await connectFails(named.pair, await linkTls(alpha), "TLS_NAME");
  assert.deepEqual(named.refused[0]?.identity, { kind: "host", name: "alpha" });
  assert.equal(pair.sessions + named.pair.sessions, 0);
  await named.pair.close();
});

test("one without a certificate, one without TLS and one that says nothing are turned away", async () => {
  const { pair, refused } = await target({ timing: { handshakeMs: 300 } });
  const { port } = pair.server;
  const ca = readFileSync(join(beta, "ca.pem"));
  const bare = tls.connect({ port, host: "127.0.0.1", ca, checkServerIdentity: () => undefined });
  const heard: Buffer[] = [];
  bare.on("data", (bytes: Buffer) => heard.push(bytes));
  await once(bare, "end");
  bare.destroy();
  assert.match(Buffer.concat(heard).toString("latin1"), /TLS_NO_CERTIFICATE/);
  assert.equal(refused[0]?.error.code, "TLS_NO_CERTIFICATE");
  const silent = net.connect(port, "127.0.0.1");
  await once(silent, "close");
  await connectFails(pair, {}, "LINK_UNREACHABLE");
  const said = pair.events.map(({ fault }) => fault);
  assert(said.includes("handshake_timeout") && said.some((fault) => fault.startsWith("tls: ")), String(said));
  // None of them takes a place.
  const recorder = new Recorder();
  const { link } = await connectLink({ ...options(await linkTls(alpha)), port }, recorder);
  assert.equal(pair.sessions, 1);
  link.abort((await connectFails(pair, await linkTls(alpha), "LINK_BUSY")) as GodwitError);
  await recorder.outcome;
  await pair.close();
});

test("no TLS where TLS is wanted never ends in a plain connection", async () => {
  const pair = await new Pair().listen();
  await connectFails(pair, await linkTls(alpha), "LINK_UNREACHABLE");
  assert.equal(pair.sessions, 0);
  await pair.close();
});

test("a ticket opens one session, in time", async () => {
  const used = await target({ ticketOnceWithinMs: 60_000 });
  const source = await linkTls(alpha);
  const first = new Recorder();
  const { link } = await connectLink({ ...options(source), port: used.pair.server.port }, first);
  await connectFails(used.pair, source, "TICKET_USED");
  await Promise.all([link.finish(), used.pair.targetLink.finish()]);
  await first.outcome;
  await connectFails(used.pair, source, "TICKET_USED");
  await connectFails(used.pair, { ...source, ticket: "another" }, "TICKET_REFUSED");
  assert.equal(used.pair.sessions, 1);
  assert.deepEqual(
    used.refused.map(({ error, identity }) => [error.code, identity?.name]),
    ["TICKET_USED", "TICKET_USED", "TICKET_REFUSED"].map((code) => [code, "alpha"]),
  );
  assert.doesNotMatch(JSON.stringify([used.refused, used.pair.events]), /swordfish|another/);
  await used.pair.close();

  let nowMs = 0;
  const late = await target({ ticketOnceWithinMs: 60_000, now: () => nowMs });
  nowMs = 60_001;
  await connectFails(late.pair, source, "TICKET_EXPIRED");
  await late.pair.close();
});

test("new files are used from the next connection on; files that cannot be used are said, and the old ones stay", async () => {
  const folder = await pki.host("epsilon");
  const warned: string[] = [];
  const own = await openTls(folder, (error) => warned.push(error.code));
  const pair = await new Pair({}, { tls: { tls: own, expected: ANY_HOST } }).listen();
  const serials: string[] = [];
  const look = async (): Promise<void> => {
    const socket = (await openTls(alpha)).connect(
      { host: "127.0.0.1", port: pair.server.port },
      ANY_HOST,
      "there",
    );
    await once(socket, "secureConnect");
    serials.push(socket.getPeerX509Certificate()!.serialNumber);
    socket.destroy();
  };
  await look();
  await look();
  await pki.host("epsilon");
  await look();
  assert.equal(new Set(serials).size, 2, "the third saw another certificate");
  assert.equal(serials[0], serials[1]);
  chmodSync(join(folder, "key.pem"), 0o640);
  await look();
  assert.deepEqual(warned, ["TLS_KEY_OPEN"]);
  assert.equal(serials[3], serials[2]);
  await assert.rejects(openTls(folder), { code: "TLS_KEY_OPEN" });
  await pair.close();
});
