/**
 * Goal: the bench hears a guest rightly over its moves, and charges CPU time to whom it belongs.
 * Method: the console with text handed in; the tail on real files; the meters on real processes.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, rmSync, truncateSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { GuestConsole } from "../../bench/homes/console.ts";
import { AgentCpu, minus } from "../../bench/homes/cpu.ts";
import { endProcessesOf } from "../../bench/homes/leftOver.ts";
import { LogTail } from "../../bench/homes/logTail.ts";

const dir = mkdtempSync(join(tmpdir(), "gw-"));
after(() => rmSync(dir, { recursive: true }));

describe("a guest's console", () => {
  it("tells whole lines but heartbeats, also those that a switchover cut in two", () => {
    const console = new GuestConsole();
    const heard: string[] = [];
    const off = console.onLine((line) => heard.push(line));
    console.feed("R ready ws=1 mode=words rate=1 seed=1 ms=1\r\nH 1 10\nV 1 OK pa");
    console.feed("ges=9 writes=1 ms=1 corrupt=0\nH 2 20\nload says");
    assert.deepEqual(heard, [
      "R ready ws=1 mode=words rate=1 seed=1 ms=1",
      "V 1 OK pages=9 writes=1 ms=1 corrupt=0",
    ]);
    assert.deepEqual([console.ready, console.passesOk, console.beats], [true, 1, 2]);
    off();
    console.feed(" this\n");
    assert.equal(heard.length, 2);
  });

  it("finds the longest silence within a span, up to the span's end", () => {
    const console = new GuestConsole();
    for (const ms of [100, 110, 160, 170]) console.feed(`H ${ms} ${ms}\n`, ms);
    const at = (ms: number) => performance.timeOrigin + ms;
    assert.equal(Math.round(console.longestGapMs(at(100), at(175))!), 50);
    assert.equal(Math.round(console.longestGapMs(at(105), at(400))!), 230, "still silent at the end");
    assert.equal(console.longestGapMs(at(200), at(300)), null, "not heard at all");
  });

  it("counts the silence before the first heartbeat of a span, and after the last", () => {
    const console = new GuestConsole();
    for (const ms of [100, 110, 160, 170]) console.feed(`H ${ms} ${ms}\n`, ms);
    const silence = (from: number, to: number) =>
      Math.round(console.silenceMs(performance.timeOrigin + from, performance.timeOrigin + to));
    assert.equal(silence(30, 175), 70);
    assert.equal(silence(105, 175), 50);
    assert.equal(silence(105, 400), 230);
    assert.equal(silence(200, 300), 100, "not heard at all");
  });

  it("keeps what the oracle finds", () => {
    const console = new GuestConsole();
    console.feed("CORRUPT page=3 version=1 offset=0 what=content\n");
    assert.equal(console.faults.length, 1);
  });
});

describe("the tail of a log", () => {
  it("begins when the file does, and goes on when it is removed", () => {
    const path = join(dir, "late.log");
    const tail = new LogTail(path);
    assert.equal(tail.read(), "");
    appendFileSync(path, "one\ntw");
    assert.equal(tail.read(), "one\ntw");
    appendFileSync(path, "o\n");
    unlinkSync(path);
    assert.equal(tail.read(), "o\n");
    assert.equal(tail.read(), "");
    tail.close();
  });

  it("begins again where the file was cut", () => {
    const path = join(dir, "cut.log");
    appendFileSync(path, "a long line\n");
    const tail = new LogTail(path);
    tail.read();
    truncateSync(path);
    appendFileSync(path, "new\n");
    assert.equal(tail.read(), "new\n");
    tail.close();
  });
});

describe("CPU time", () => {
  it("of children that have ended is the agent's", async () => {
    // The subshell burns and is reaped; then its parent waits for a line.
    const script = "(i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done); echo done; read line";
    const parent = spawn("sh", ["-c", script], { stdio: ["pipe", "pipe", "inherit"] });
    const meter = new AgentCpu(parent.pid!);
    const before = meter.read();
    await once(parent.stdout, "data");
    const spent = minus(meter.read(), before);
    parent.stdin.end("\n");
    await once(parent, "exit");
    assert.ok(spent.hostMs > 0);
    assert.equal(spent.vcpuMs, 0);
  });
});

describe("what a home leaves behind", () => {
  it("is found by the folder in its command line, and only that is ended", async () => {
    const wait = (name: string) =>
      spawn("sh", ["-c", "read line", join(dir, name, "qmp")], { stdio: ["pipe", "ignore", "ignore"] });
    const [ours, other] = [wait("ours"), wait("ours2")];
    await Promise.all([once(ours, "spawn"), once(other, "spawn")]);
    const gone = once(ours, "exit");
    await endProcessesOf(join(dir, "ours"));
    assert.equal((await gone)[1], "SIGKILL");
    assert.equal(other.exitCode ?? other.signalCode, null);
    other.stdin?.end();
    await once(other, "exit");
  });
});
