/**
 * Goal: whatever a user, a stranger or another version gives the relay at its command line or its sockets ends in a
 * named error with its way out and the documented exit code; a relay that can go on does, and leaves no file behind.
 * Method: `godwit relay` as real processes. No QEMU: where one must seem to be there, four bytes on the unix socket
 * make the relay connect, and a socket that only listens takes what it forwards; no guest is claimed to move.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";
import {
  encodeFault,
  encodeFrame,
  encodeHello,
  encodeWelcome,
  FrameParser,
  SessionKind,
} from "../../src/wire/mod.ts";
import { RelayCli, reports, say, tcp, temporaryFolder } from "../tools/relayCli.ts";

/** How every migration stream begins; the rest is never looked at here. */
const QEMU_HEADER = Buffer.from("5145564d00000003", "hex");
const HTTP = "GET / HTTP/1.1\r\nHost: relay\r\n\r\n";
/** A port of loopback where nobody listens: reserved, and never given out by the system. */
const NOBODY = "127.0.0.1:1";
const LIMIT = { timeout: 60_000 };

/** A unix path that accepts and reads, as far as the relay can see. */
async function listenLocal(path: string): Promise<AsyncDisposable> {
  const server = net.createServer((socket) => socket.on("error", () => undefined).resume());
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { [Symbol.asyncDispose]: () => closed(server) };
}

/** A target "relay" that answers every first frame with `answer` (nothing: it stays silent). */
async function fakeTarget(answer?: Uint8Array): Promise<AsyncDisposable & { address: string }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).once("data", () => answer && socket.write(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy();
      return closed(server);
    },
  };
}

function closed(server: net.Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

function hello(versions: { min: number; max: number }, ticket = ""): Uint8Array {
  const greeting = new TextEncoder().encode(JSON.stringify({ seed: { low: 1, high: 2 }, pageCacheBytes: 0 }));
  const payload = encodeHello({
    versionMin: versions.min,
    versionMax: versions.max,
    sessionId: new Uint8Array(randomBytes(16)),
    ticket: new TextEncoder().encode(ticket),
    greeting,
  });
  return encodeFrame(SessionKind.hello, 0, payload, crc32);
}

/** The one frame in `bytes`: its kind, and its payload as text. */
function frameIn(bytes: Uint8Array): { kind: number; text: string } {
  const parser = new FrameParser(crc32);
  assert.equal(parser.next(bytes, 0, bytes.length), "frame");
  const payload = bytes.subarray(parser.payloadStart, parser.payloadEnd);
  return { kind: parser.kind, text: Buffer.from(payload).toString() };
}

test("a command line that makes no sense is exit 2, and says what is wrong", LIMIT, async () => {
  using folder = temporaryFolder();
  const socket = `unix:${folder.path}/q.sock`;
  const good = ["source", "--listen", socket, "--to", NOBODY];
  const cases: [string[], RegExp][] = [
    [["source", "--to", NOBODY], /--listen/],
    [["source", "--listen", socket], /--to/],
    [["source", "--listen", "exec:cat", "--to", NOBODY], /not unix:PATH: exec:cat/],
    [["source", "--listen", socket, "--to", "nowhere"], /not HOST:PORT .*nowhere/],
    [["source", "--listen", socket, "--to", "127.0.0.1:99999"], /not HOST:PORT/],
    [
      ["source", "--listen", `unix:${folder.path}/${"x".repeat(120)}`, "--to", NOBODY],
      /longer than 107 bytes/,
    ],
    [[...good, "--bandwidth", "fast"], /fast/],
    [[...good, "--reconnect-for", "soon"], /soon/],
    [[...good, "--socket-mode", "999"], /octal mode.*999/],
    [[...good, "--socket-group", "no-such-group-here"], /no-such-group-here/],
    [[...good, "--no-such-option"], /no-such-option/],
    [["target", "--listen", "127.0.0.1:0"], /--forward/],
    [["target", "--listen", "127.0.0.1", "--forward", socket], /not HOST:PORT/],
  ];
  await Promise.all(
    cases.map(async ([args, says]) => {
      await using relay = new RelayCli(...args);
      await relay.ends(2);
      assert.match(relay.stderr, says);
    }),
  );
  assert.ok(!existsSync(join(folder.path, "q.sock")), "and no socket is left");
});

test("the socket's folder is missing: named, exit 3", LIMIT, async () => {
  using folder = temporaryFolder();
  await using relay = new RelayCli("source", "--listen", `unix:${folder.path}/no/q.sock`, "--to", NOBODY);
  await relay.fails("SOCKET_FOLDER_MISSING", /folder of \S+\/no\/q\.sock does not exist/);
});

test("a path that is no socket is left alone: file, folder, dangling symbolic link", LIMIT, async () => {
  using folder = temporaryFolder();
  const at = (name: string) => join(folder.path, name);
  writeFileSync(at("file"), "precious");
  mkdirSync(at("folder"));
  symlinkSync(at("nothing"), at("link"));
  for (const name of ["file", "folder", "link"]) {
    await using relay = new RelayCli("source", "--listen", `unix:${at(name)}`, "--to", NOBODY);
    await relay.fails("SOCKET_NOT_ONE", new RegExp(`${name} exists and is no socket`));
  }
  assert.equal(readFileSync(at("file"), "utf8"), "precious");
  assert.ok(lstatSync(at("folder")).isDirectory());
  assert.ok(lstatSync(at("link")).isSymbolicLink() && !existsSync(at("nothing")));
});

test("a path that a living relay serves is refused, and that relay keeps it", LIMIT, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "q.sock");
  await using first = new RelayCli("source", "--listen", `unix:${path}`, "--to", NOBODY, "--keep");
  await first.listening();
  await using second = new RelayCli("source", "--listen", `unix:${path}`, "--to", NOBODY);
  await second.fails("SOCKET_TAKEN", /Another process listens on \S+q\.sock/);
  await say({ path }, HTTP);
  await first.said(/turned away a connection/);
});

test("a stale socket of a killed relay is replaced", LIMIT, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "q.sock");
  {
    await using killed = new RelayCli("source", "--listen", `unix:${path}`, "--to", NOBODY);
    await killed.listening();
    killed.signal("SIGKILL");
    await killed.exit;
  }
  assert.ok(lstatSync(path).isSocket(), "the killed relay left it");
  await using relay = new RelayCli("source", "--listen", `unix:${path}`, "--to", NOBODY);
  assert.equal(await relay.listening(), path);
  relay.signal("SIGTERM");
  await relay.ends(4);
  assert.ok(!existsSync(path));
});

test("the socket is the owner's alone unless told otherwise", LIMIT, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "q.sock");
  const group = execFileSync("id", ["-gn"], { encoding: "utf8" }).trim();
  const gid = Number(execFileSync("id", ["-g"], { encoding: "utf8" }));
  // As root another group shows that it is changed at all.
  const [other, otherGid] = gid === 0 ? ["daemon", groupId("daemon")] : [group, gid];
  const cases = [
    { flags: [], mode: 0o600, gid },
    { flags: ["--socket-mode", "660"], mode: 0o660, gid },
    { flags: ["--socket-mode", "0640", "--socket-group", other], mode: 0o640, gid: otherGid },
  ];
  for (const { flags, mode, gid } of cases) {
    await using relay = new RelayCli("source", "--listen", `unix:${path}`, "--to", NOBODY, ...flags);
    await relay.listening();
    const found = statSync(path);
    assert.equal((found.mode & 0o777).toString(8), mode.toString(8));
    assert.equal(found.gid, gid);
    relay.signal("SIGTERM");
    await relay.ends(4);
  }
});

function groupId(name: string): number {
  return Number(execFileSync("getent", ["group", name], { encoding: "utf8" }).split(":")[2]);
}

test("beyond loopback only with --insecure, and then with a loud warning", LIMIT, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "q.sock");
  {
    await using relay = new RelayCli("source", "--listen", `unix:${path}`, "--to", "192.0.2.1:4444");
    await relay.fails("LINK_INSECURE", /192\.0\.2\.1:4444 is not loopback/);
    assert.ok(!existsSync(path));
  }
  {
    await using relay = new RelayCli("target", "--listen", "0.0.0.0:0", "--forward", `unix:${path}`);
    await relay.fails("LINK_INSECURE", /0\.0\.0\.0:0 is not loopback/);
  }
  // Listening is all it does: nothing is sent anywhere.
  await using relay = new RelayCli(
    "target",
    "--listen",
    "0.0.0.0:0",
    "--forward",
    `unix:${path}`,
    "--insecure",
  );
  await relay.listening();
  assert.match(relay.stderr, /--insecure: guest memory crosses the network unencrypted/);
});

test("a port that is taken is named", LIMIT, async () => {
  await using other = await fakeTarget();
  await using relay = new RelayCli("target", "--listen", other.address, "--forward", "unix:/nowhere/q.sock");
  await relay.fails("LINK_PORT", /Cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/);
});

test("no target relay there: the source QEMU is let go, and the report has the reason", LIMIT, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "q.sock");
  const report = join(folder.path, "report.json");
  await using relay = new RelayCli("source", "--listen", `unix:${path}`, "--to", NOBODY, "--report", report);
  await relay.listening();
  assert.notEqual(
    await say({ path }, QEMU_HEADER),
    undefined,
    "its connection is closed: QEMU resumes the guest",
  );
  await relay.fails("LINK_UNREACHABLE", /No target relay answers at 127\.0\.0\.1:1: .*ECONNREFUSED/);
  const [written] = reports(readFileSync(report, "utf8"));
  assert.equal(written?.error?.code, "LINK_UNREACHABLE");
  assert.equal(written?.status, "aborted");
  assert.equal(written?.equal, null);
  assert.ok(!existsSync(path));
});

test("a report that cannot be written goes to stdout, and changes no exit code", LIMIT, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "q.sock");
  for (const file of ["/dev/full", join(folder.path, "no/report.json")]) {
    await using relay = new RelayCli("source", "--listen", `unix:${path}`, "--to", NOBODY, "--report", file);
    await relay.listening();
    await say({ path }, QEMU_HEADER);
    await relay.ends(4);
    assert.match(relay.stderr, /The report could not be written to \S+: (ENOSPC|ENOENT)\n.*Free space/);
    assert.equal(reports(relay.stdout)[0]?.error?.code, "LINK_UNREACHABLE");
  }
});

test("the target QEMU does not listen: both relays name its path", LIMIT, async () => {
  using folder = temporaryFolder();
  const forward = join(folder.path, "in.sock");
  const path = join(folder.path, "q.sock");
  await using target = new RelayCli("target", "--listen", "127.0.0.1:0", "--forward", `unix:${forward}`);
  const to = await target.listening();
  await using source = new RelayCli("source", "--listen", `unix:${path}`, "--to", to);
  await source.listening();
  assert.notEqual(await say({ path }, QEMU_HEADER), undefined);
  const says = /target QEMU cannot be reached at \S+in\.sock: ENOENT/;
  await Promise.all([source.fails("FORWARD_MISSING", says), target.fails("FORWARD_MISSING", says)]);
});

test("a target relay of another version: both versions are named, exit 3", LIMIT, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "q.sock");
  const fault = { code: "LINK_VERSION", fields: { ours: "7-9", theirs: "1-1" }, message: "" };
  const reject = encodeFrame(SessionKind.reject, 0, encodeFault(fault), crc32);
  await using other = await fakeTarget(reject);
  await using relay = new RelayCli("source", "--listen", `unix:${path}`, "--to", other.address);
  await relay.listening();
  assert.notEqual(await say({ path }, QEMU_HEADER), undefined);
  await relay.fails("LINK_VERSION", /different link versions: 1-1 here, 7-9 there/);
});

test("a target that answers what is no answer is named by the rule it breaks", LIMIT, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "q.sock");
  const unasked = encodeWelcome({ version: 9, greeting: new Uint8Array(0) });
  const cases: [Uint8Array, RegExp][] = [
    [encodeFrame(SessionKind.welcome, 0, unasked, crc32), /breaks the rule version_range/],
    [encodeFrame(SessionKind.ping, 1, new Uint8Array(0), crc32), /breaks the rule kind_in_handshake/],
    [Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), /breaks the rule magic/],
  ];
  for (const [answer, says] of cases) {
    await using other = await fakeTarget(answer);
    await using relay = new RelayCli("source", "--listen", `unix:${path}`, "--to", other.address);
    await relay.listening();
    await say({ path }, QEMU_HEADER);
    await relay.fails("LINK_FRAME", says);
  }
});

test("a source relay of another version is told so, and the target goes on waiting", LIMIT, async () => {
  await using target = new RelayCli(
    "target",
    "--listen",
    "127.0.0.1:0",
    "--forward",
    "unix:/nowhere/in.sock",
  );
  const where = tcp(await target.listening());
  const answer = await say(where, hello({ min: 2, max: 3 }));
  assert.ok(answer !== undefined && answer.length > 0);
  const { kind, text } = frameIn(answer);
  assert.equal(kind, SessionKind.reject);
  assert.match(text, /"code":"LINK_VERSION","fields":{"ours":"1-1","theirs":"2-3"}/);
  await target.said(/turned away 127\.0\.0\.1:\d+: LINK_VERSION/);
  target.signal("SIGTERM");
  await target.ends(4);
});

test("the wrong ticket: refused with exit 3, and the target goes on waiting", LIMIT, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "q.sock");
  const forward = ["--forward", "unix:/nowhere/in.sock"];
  await using target = new RelayCli("target", "--listen", "127.0.0.1:0", ...forward, "--ticket", "rosebud");
  const to = await target.listening();
  for (const ticket of [[], ["--ticket", "rosebuds"]]) {
    await using source = new RelayCli("source", "--listen", `unix:${path}`, "--to", to, ...ticket);
    await source.listening();
    await say({ path }, QEMU_HEADER);
    await source.fails("TICKET_REFUSED", /refused the ticket/);
  }
  await target.said(/turned away 127\.0\.0\.1:\d+: TICKET_REFUSED/);
  await using source = new RelayCli("source", "--listen", `unix:${path}`, "--to", to, "--ticket", "rosebud");
  await source.listening();
  await say({ path }, QEMU_HEADER);
  await source.fails("FORWARD_MISSING", /in\.sock/); // so it was let in
});

test("a second migration at one target relay is refused as LINK_BUSY, the first stays", LIMIT, async () => {
  using folder = temporaryFolder();
  const forward = join(folder.path, "in.sock");
  await using _qemu = await listenLocal(forward);
  await using target = new RelayCli("target", "--listen", "127.0.0.1:0", "--forward", `unix:${forward}`);
  const to = await target.listening();
  const paths = [join(folder.path, "1.sock"), join(folder.path, "2.sock")] as const;
  await using first = new RelayCli("source", "--listen", `unix:${paths[0]}`, "--to", to);
  await first.listening();
  const guest = net.connect(paths[0]);
  guest.write(QEMU_HEADER);
  await sleep(500);

  await using second = new RelayCli("source", "--listen", `unix:${paths[1]}`, "--to", to);
  await second.listening();
  await say({ path: paths[1] }, QEMU_HEADER);
  await second.fails("LINK_BUSY", /127\.0\.0\.1:\d+ carries another migration/);

  assert.equal(guest.readyState, "open", "the first migration is not touched");
  guest.destroy();
  const says = /source QEMU closed its connection during setup/;
  await Promise.all([first.fails("SOURCE_QEMU_GONE", says), target.fails("SOURCE_QEMU_GONE", says)]);
});

test("strangers at the source's socket are turned away, and the next QEMU is served", LIMIT, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "q.sock");
  await using relay = new RelayCli("source", "--listen", `unix:${path}`, "--to", NOBODY);
  await relay.listening();
  assert.deepEqual(await say({ path }, HTTP), Buffer.alloc(0), "nothing is answered");
  await relay.said(/turned away .* not a migrating QEMU; it began with "GET \/ HTTP/);
  const random = Buffer.concat([Buffer.from([0xff, 0x00]), randomBytes(100_000)]);
  assert.deepEqual(await say({ path }, random), Buffer.alloc(0));
  await relay.said(/turned away .* it began with ff00[0-9a-f]{28}\n/);
  // More silent ones than are kept waiting: they must not keep QEMU out.
  const silent = Array.from({ length: 24 }, () => net.connect(path).on("error", () => undefined));
  await Promise.all(silent.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
  await say({ path }, QEMU_HEADER);
  await relay.fails("LINK_UNREACHABLE", /127\.0\.0\.1:1/);
  for (const socket of silent) socket.destroy();
});

test("strangers at the target's port are turned away, and the next relay is served", LIMIT, async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "q.sock");
  await using target = new RelayCli(
    "target",
    "--listen",
    "127.0.0.1:0",
    "--forward",
    "unix:/nowhere/in.sock",
  );
  const to = await target.listening();
  const where = tcp(to);
  assert.deepEqual(await say(where, HTTP), Buffer.alloc(0), "nothing is answered");
  assert.deepEqual(
    await say(where, Buffer.concat([Buffer.from([0xff]), randomBytes(100_000)])),
    Buffer.alloc(0),
  );
  await target.said(/turned away 127\.0\.0\.1:\d+: magic\n.*: magic\n/s);
  const broken = Buffer.from(hello({ min: 1, max: 1 }));
  broken[20]! ^= 1;
  assert.deepEqual(await say(where, broken), Buffer.alloc(0));
  await target.said(/turned away .*: header_checksum/);
  await using source = new RelayCli("source", "--listen", `unix:${path}`, "--to", to);
  await source.listening();
  await say({ path }, QEMU_HEADER);
  await source.fails("FORWARD_MISSING", /in\.sock/);
});

test("bytes that begin as a stream and are none: the rule is named at both ends", LIMIT, async () => {
  using folder = temporaryFolder();
  const forward = join(folder.path, "in.sock");
  await using _qemu = await listenLocal(forward);
  const path = join(folder.path, "q.sock");
  const cases: [Buffer, RegExp][] = [
    [Buffer.from("5145564d00000009", "hex"), /rule version at byte \d+: only version 3/],
    [
      Buffer.concat([QEMU_HEADER, Buffer.alloc(4000, 0xee)]),
      /rule configuration_missing at byte 8: .*send-configuration/,
    ],
  ];
  for (const [bytes, says] of cases) {
    await using target = new RelayCli("target", "--listen", "127.0.0.1:0", "--forward", `unix:${forward}`);
    await using source = new RelayCli("source", "--listen", `unix:${path}`, "--to", await target.listening());
    await source.listening();
    assert.notEqual(await say({ path }, bytes), undefined, "the connection is closed");
    await Promise.all([source.fails("STREAM_INVALID", says), target.fails("STREAM_INVALID", says)]);
  }
});

/** What an end by signal may depend on: each value of one meets each value of the others. */
const ENDINGS = [
  { signal: "SIGINT", side: "source", keep: [] },
  { signal: "SIGINT", side: "target", keep: ["--keep"] },
  { signal: "SIGTERM", side: "source", keep: ["--keep"] },
  { signal: "SIGTERM", side: "target", keep: [] },
] as const;

// One of them waits for most of the time: the others go on meanwhile.
describe("in time", { concurrency: 2 }, () => {
  test("a stranger that never speaks is sent away in time", LIMIT, async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "q.sock");
    await using source = new RelayCli("source", "--listen", `unix:${path}`, "--to", NOBODY);
    await using target = new RelayCli("target", "--listen", "127.0.0.1:0", "--forward", `unix:${path}`);
    await source.listening();
    const where = tcp(await target.listening());
    const answers = await Promise.all([
      say({ path }, ""),
      say(where, ""),
      say(where, hello({ min: 1, max: 1 }).subarray(0, 40)),
    ]);
    for (const answer of answers) assert.deepEqual(answer, Buffer.alloc(0), "closed without a word");
    await source.said(/turned away .* it began with nothing/);
    await target.said(/turned away 127\.0\.0\.1:\d+: handshake_timeout/);
  });

  for (const { signal, side, keep } of ENDINGS) {
    const kept = keep.length > 0;
    const who = `${signal} at the ${side} relay${kept ? " with --keep" : ""}`;

    test(`${who} while idle: the socket goes, exit ${kept ? 0 : 4}`, LIMIT, async () => {
      using folder = temporaryFolder();
      const path = join(folder.path, "q.sock");
      const flags = {
        source: ["--listen", `unix:${path}`, "--to", NOBODY],
        target: ["--listen", "127.0.0.1:0", "--forward", `unix:${path}`],
      };
      await using relay = new RelayCli(side, ...flags[side], ...keep);
      await relay.listening();
      relay.signal(signal);
      await relay.ends(kept ? 0 : 4, 5000);
      assert.ok(!existsSync(path));
    });

    test(`${who} while a migration is under way: both sides end and name it`, LIMIT, async () => {
      using folder = temporaryFolder();
      const forward = join(folder.path, "in.sock");
      const path = join(folder.path, "q.sock");
      await using _qemu = await listenLocal(forward);
      const into = ["--forward", `unix:${forward}`];
      await using target = new RelayCli("target", "--listen", "127.0.0.1:0", ...into, ...keep);
      const to = await target.listening();
      await using source = new RelayCli("source", "--listen", `unix:${path}`, "--to", to, ...keep);
      await source.listening();
      const answer = say({ path }, QEMU_HEADER);
      await sleep(500);
      const [told, other] = side === "source" ? [source, target] : [target, source];
      told.signal(signal);
      const says = new RegExp(`Ended by ${signal}`);
      await told.fails("INTERRUPTED", says);
      assert.notEqual(await answer, undefined, "QEMU is let go");
      await other.said(says);
      if (kept) other.signal("SIGTERM");
      await other.ends(kept ? 0 : 4);
      assert.ok(!existsSync(path));
    });
  }

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`${signal} while the link is being made: it ends at once, exit 4`, LIMIT, async () => {
      using folder = temporaryFolder();
      const path = join(folder.path, "q.sock");
      await using nobody = await fakeTarget(); // accepts, and never answers
      for (const keep of [[], ["--keep"]]) {
        await using relay = new RelayCli(
          "source",
          "--listen",
          `unix:${path}`,
          "--to",
          nobody.address,
          ...keep,
        );
        await relay.listening();
        const answer = say({ path }, QEMU_HEADER);
        await sleep(300);
        const beganMs = performance.now();
        relay.signal(signal);
        await relay.fails("INTERRUPTED", new RegExp(`Ended by ${signal}`));
        assert.ok(performance.now() - beganMs < 4000, "it does not wait for the other side's answer");
        assert.notEqual(await answer, undefined, "QEMU is let go");
        assert.ok(!existsSync(path));
      }
    });
  }
});

test("a folder that may not be written is named", {
  ...LIMIT,
  skip: process.getuid?.() === 0 && "root may",
}, async () => {
  using folder = temporaryFolder();
  chmodSync(folder.path, 0o500);
  await using relay = new RelayCli("source", "--listen", `unix:${folder.path}/q.sock`, "--to", NOBODY);
  await relay.ends(2);
  assert.match(relay.stderr, /cannot listen on \S+: EACCES/);
});
