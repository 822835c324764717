/**
 * Goal: the agent's memory of heartbeats and reports is right and bounded, and one agent uses one state dir.
 * Method: each part with times handed in, and real sqlite files in a temporary folder.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import pino from "pino";
import { Beats } from "../../src/agent/beats.ts";
import { isLoopback, listenForPeers, listenPrivately, splitAddress } from "../../src/agent/bind.ts";
import { Bus } from "../../src/agent/bus.ts";
import { Oracle, parseConsoleLine } from "../../src/agent/console.ts";
import { SqliteHistory } from "../../src/agent/history.ts";
import { makeHttp } from "../../src/agent/http.ts";
import { lockStateDir } from "../../src/agent/lock.ts";
import { agentPaths, clientSocket } from "../../src/agent/paths.ts";

const scratch = mkdtempSync(join(tmpdir(), "godwit-agent-"));
after(() => rmSync(scratch, { recursive: true }));

let wallMs = 1_000;
const clock = { wallMs: () => ++wallMs, monoMs: () => 0 };
const beat = (monoMs: number) => ({ seq: monoMs, guestMs: monoMs, wallMs: monoMs, monoMs });

describe("heartbeats", () => {
  it("are let go of when told, and their number stays", () => {
    const beats = new Beats(4);
    for (let ms = 1; ms <= 6; ms++) beats.add(beat(ms));
    beats.forget();
    assert.deepEqual([beats.last, beats.total, beats.since(0)], [null, 6, []]);
    beats.add(beat(7));
    assert.deepEqual([beats.last?.seq, beats.total, beats.since(0).length], [7, 7, 1]);
  });
  it("are kept newest first out, oldest first forgotten", () => {
    const beats = new Beats(4);
    for (let ms = 1; ms <= 6; ms++) beats.add(beat(ms));
    assert.equal(beats.last?.seq, 6);
    assert.equal(beats.total, 6);
    assert.deepEqual(
      beats.since(0).map((b) => b.seq),
      [3, 4, 5, 6],
    );
    assert.deepEqual(
      beats.since(5).map((b) => b.seq),
      [5, 6],
    );
  });

  it("in a window give the longest gap, the wait for the first beat included", () => {
    const beats = new Beats(2);
    beats.add(beat(5));
    const window = beats.openWindow(10);
    assert.equal(window.read().longestGapMs, null);
    for (const ms of [40, 45, 60, 62]) beats.add(beat(ms));
    const figures = window.read();
    assert.equal(figures.longestGapMs, 30);
    assert.equal(figures.first?.monoMs, 40);
    assert.equal(figures.last?.monoMs, 62);
    window.stop();
    beats.add(beat(500));
    assert.equal(window.read().longestGapMs, 30);
  });
});

describe("the console", () => {
  it("tells beats, verdicts and damage apart", () => {
    assert.deepEqual(parseConsoleLine("H 12 345"), { kind: "beat", seq: 12, guestMs: 345 });
    assert.deepEqual(parseConsoleLine("V 3 OK pages=512"), { kind: "verified", count: 3 });
    assert.equal(parseConsoleLine("V 3 BAD pages=512").kind, "corrupt");
    assert.equal(parseConsoleLine("H 12 34CORRUPT page=7").kind, "corrupt");
    for (const other of ["", "H 12", "H a b", "VV 3 OK", "[    0.0] booting"])
      assert.equal(parseConsoleLine(other).kind, "other");
    const oracle = new Oracle();
    for (const line of ["V 1 OK", "V 2 OK", "CORRUPT page=9 version=3"]) oracle.see(parseConsoleLine(line));
    assert.equal(oracle.verified, 2);
    assert.equal(oracle.lastVerified, 2);
    assert.equal(oracle.corrupt, 1);
    assert.equal(oracle.lastCorrupt, "CORRUPT page=9 version=3");
  });
});

describe("the history", () => {
  it("gives back what was put, newest first, also to the next agent", () => {
    const path = join(scratch, "history.sqlite");
    const history = new SqliteHistory(path, clock);
    history.put("report", "m1", "web", { id: "m1", status: "aborted" });
    history.put("report", "m2", "db", { id: "m2", status: "completed" });
    history.put("report", "m3", "web", { id: "m3", status: "completed" });
    history.put("report", "m1", "web", { id: "m1", status: "completed" });
    history.put("state", "m1", "web", { phase: "precopy" });
    history.remove("report", "m3");
    history.close();
    const next = new SqliteHistory(path, clock);
    assert.deepEqual(next.get("report", "m1"), { id: "m1", status: "completed" });
    assert.deepEqual(next.get("state", "m1"), { phase: "precopy" });
    assert.equal(next.get("report", "m3"), null);
    const ids = (reports: { id: string }[]) => reports.map((r) => r.id);
    assert.deepEqual(ids(next.list("report")), ["m2", "m1"]);
    assert.deepEqual(ids(next.list("report", { vm: "web" })), ["m1"]);
    assert.deepEqual(ids(next.list("report", { limit: 1 })), ["m2"]);
    next.close();
  });
});

describe("events", () => {
  it("are numbered without gaps and reach who listens", () => {
    const bus = new Bus(clock);
    const seen: number[] = [];
    const off = bus.on((event) => seen.push(event.seq));
    bus.emit("a", {});
    bus.emit("b", {});
    off();
    bus.emit("c", {});
    assert.deepEqual(seen, [1, 2]);
  });
});

describe("places", () => {
  it("a state dir is used by one agent at a time", () => {
    const unlock = lockStateDir(scratch);
    assert.throws(() => lockStateDir(scratch), { code: "AGENT_RUNNING" });
    unlock();
    lockStateDir(scratch)();
  });

  it("follow the XDG folders, and a state dir of one's own takes the sockets along", () => {
    const env = { XDG_STATE_HOME: "/s", XDG_RUNTIME_DIR: "/r" };
    assert.deepEqual(agentPaths({}, env), {
      stateDir: "/s/godwit",
      runDir: "/r/godwit",
      socket: "/r/godwit/agent.sock",
    });
    assert.equal(agentPaths({ stateDir: "/x" }, env).socket, "/x/run/agent.sock");
    assert.equal(clientSocket(undefined, { ...env, GODWIT_SOCKET: "/g" }), "/g");
    assert.equal(clientSocket("/c", { GODWIT_SOCKET: "/g" }), "/c");
  });

  it("a stale socket is replaced, a living one or another file is not", async () => {
    const http = () => makeHttp(pino({ level: "silent" }));
    const path = join(scratch, "api.sock");
    const first = http();
    await listenPrivately(first, path);
    await assert.rejects(listenPrivately(http(), path), { code: "SOCKET_TAKEN" });
    await first.close();
    const file = join(scratch, "file");
    writeFileSync(file, "mine");
    await assert.rejects(listenPrivately(http(), file), { code: "SOCKET_TAKEN" });
    await assert.rejects(listenPrivately(http(), join(scratch, "no/where")), {
      code: "SOCKET_FOLDER_MISSING",
    });
  });

  it("plain peers stay on loopback unless told", async () => {
    const log = pino({ level: "silent" });
    await assert.rejects(listenForPeers(makeHttp(log), "0.0.0.0:0", false), { code: "LINK_INSECURE" });
    const taken = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const { port } = taken.address() as { port: number };
    await assert.rejects(listenForPeers(makeHttp(log), `127.0.0.1:${port}`, false), { code: "SOCKET_TAKEN" });
    taken.close();
    const peer = makeHttp(log);
    assert.match(await listenForPeers(peer, "127.0.0.1:0", false), /^127\.0\.0\.1:[1-9]\d*$/);
    await peer.close();
    assert.equal(isLoopback("127.evil.example"), false);
    assert.deepEqual(splitAddress("[::1]:80"), { host: "::1", port: 80 });
    for (const bad of ["host", "host:", "host:99999", ":80", "a b:80", "::1:80"])
      assert.throws(() => splitAddress(bad), { code: "USAGE" });
  });
});
