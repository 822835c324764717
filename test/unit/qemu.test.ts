/**
 * Goal: what reaches us from a QEMU monitor cannot hurt us, specs say what they mean, and a VM's files are private.
 * Method: the parts on bytes and values; a monitor on in-memory streams for what a healthy QEMU never does
 * (garbage, silence, a sudden end). What a real QEMU does is in test/qemu.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, describe, it } from "node:test";
import { qemuArgs } from "../../src/qemu/args.ts";
import { parseMessage } from "../../src/qemu/messages.ts";
import {
  formatSize,
  isAlive,
  LineSplitter,
  parseResolvedSpec,
  parseSize,
  parseSpec,
  privateDir,
  processId,
  Qmp,
  type ResolvedSpec,
  readRecord,
  socketPath,
  vmPaths,
  writeRecord,
} from "../../src/qemu/mod.ts";

const scratch = mkdtempSync(join(tmpdir(), "godwit-qemu-"));
after(() => rmSync(scratch, { recursive: true }));

const RESOLVED: ResolvedSpec = parseResolvedSpec({
  ...parseSpec({ name: "a", memory: "64MiB", cpus: 2, balloon: true }),
  accel: "tcg",
  cpu: "Nehalem-v1",
  machine: "pc-q35-7.2",
  uuid: "8a2b2c1e-1111-4222-8333-444455556666",
});

/** The other end of a monitor. */
async function monitor(greeting = '{"QMP": {"version": {}, "capabilities": ["oob"]}}') {
  const fromQemu = new PassThrough();
  const toQemu = new PassThrough();
  const sent: Record<string, unknown>[] = [];
  const waiting: (() => void)[] = [];
  toQemu.on("data", (chunk: Buffer) => {
    for (const line of chunk.toString().trim().split("\n")) sent.push(JSON.parse(line));
    for (const wake of waiting.splice(0)) wake();
  });
  const say = (text: string) => fromQemu.write(`${text}\r\n`);
  const asked = async (count: number) => {
    while (sent.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
    return sent[count - 1]!;
  };
  say(greeting);
  const opening = Qmp.open(fromQemu, toQemu, { name: "test", timeoutMs: 1_000 });
  opening.catch(() => undefined);
  return { fromQemu, say, asked, opening };
}

async function opened() {
  const m = await monitor();
  const { id } = await m.asked(1);
  m.say(JSON.stringify({ return: {}, id }));
  return { ...m, qmp: await m.opening };
}

describe("lines", () => {
  it("come out the same however the bytes are cut", () => {
    const bytes = Buffer.from("one\r\ntwo\n\nthree ä\n");
    for (let cut = 0; cut <= bytes.length; cut++) {
      const splitter = new LineSplitter(100);
      const lines = [...splitter.push(bytes.subarray(0, cut)), ...splitter.push(bytes.subarray(cut))];
      assert.deepEqual(lines, ["one", "two", "", "three ä"]);
    }
  });

  it("that are too long are counted, not kept, and the next one is read again", () => {
    const splitter = new LineSplitter(8);
    assert.deepEqual(splitter.push(Buffer.from("12345")), []);
    assert.deepEqual(splitter.push(Buffer.from("67890")), []);
    assert.deepEqual(splitter.push(Buffer.from("x\nshort\n12345678\n")), ["short", "12345678"]);
    assert.equal(splitter.tooLong, 1);
  });
});

describe("a QMP message", () => {
  it("is read by its kind, and anything else is bad", () => {
    assert.deepEqual(parseMessage('{"QMP": {"capabilities": ["oob"]}}'), {
      kind: "greeting",
      greeting: { oob: true },
    });
    assert.deepEqual(
      parseMessage('{"timestamp": {"seconds": 12, "microseconds": 345678}, "event": "STOP"}'),
      {
        kind: "event",
        event: { event: "STOP", timestampMs: 12345.678, data: {} },
      },
    );
    assert.equal(parseMessage('{"return": {}, "id": "g1"}').kind, "answer");
    assert.equal(parseMessage('{"error": {"class": "X", "desc": "no"}, "id": "g1"}').kind, "error");
    for (const bad of ["", "{", "[]", "null", "7", "{}", '"QMP"'])
      assert.equal(parseMessage(bad).kind, "bad");
  });
});

describe("a monitor", () => {
  it("gives each answer to its own command, also when they come in another order", async () => {
    const { qmp, asked, say } = await opened();
    const first = qmp.execute("query-status");
    const second = qmp.execute("query-name");
    const ids = [(await asked(2))["id"], (await asked(3))["id"]];
    say(JSON.stringify({ return: { name: "a" }, id: ids[1] }));
    say(JSON.stringify({ return: { status: "running", running: true }, id: ids[0] }));
    assert.equal((await first).status, "running");
    assert.equal((await second).name, "a");
    qmp.close();
  });

  it("names the command that got no answer, and drops the late one", async () => {
    const { qmp, asked, say } = await opened();
    await assert.rejects(qmp.execute("query-status", {}, { timeoutMs: 20 }), {
      code: "QMP_TIMEOUT",
      fields: { command: "query-status", timeoutMs: 20 },
    });
    const late = (await asked(2))["id"];
    const next = qmp.execute("query-name");
    say(JSON.stringify({ return: { status: "late" }, id: late }));
    say(JSON.stringify({ return: { name: "right" }, id: (await asked(3))["id"] }));
    assert.equal((await next).name, "right");
    qmp.close();
  });

  it("fails everything pending and everything later when the connection ends", async () => {
    const { qmp, fromQemu, asked } = await opened();
    const command = qmp.execute("query-status");
    const event = qmp.waitFor("STOP", () => true, 10_000);
    const iteration = qmp.events().next();
    const all = Promise.all([
      assert.rejects(command, { code: "QMP_CLOSED" }),
      assert.rejects(event, { code: "QMP_CLOSED" }),
    ]);
    await asked(2);
    fromQemu.end();
    await all;
    assert.equal((await iteration).done, true);
    assert.equal((await qmp.closed).code, "QMP_CLOSED");
    await assert.rejects(qmp.execute("query-status"), { code: "QMP_CLOSED" });
    await assert.rejects(
      qmp.waitFor("STOP", () => true, 10_000),
      { code: "QMP_CLOSED" },
    );
  });

  it("gives up on an end that speaks something else", async () => {
    const { opening, say } = await monitor("HTTP/1.1 400 Bad Request");
    for (let i = 0; i < 20; i++) say(`noise ${i}`);
    await assert.rejects(opening, { code: "QMP_CLOSED" });
  });

  it("gives up on an end that says nothing", async () => {
    const { opening } = await monitor("");
    await assert.rejects(opening, { code: "QMP_TIMEOUT" });
  });

  it("hands events to a waiter by name and condition", async () => {
    const { qmp, say } = await opened();
    const waiting = qmp.waitFor("MIGRATION", (e) => e.data["status"] === "completed", 1_000);
    for (const status of ["setup", "active", "completed"]) {
      say(
        JSON.stringify({ event: "MIGRATION", data: { status }, timestamp: { seconds: 1, microseconds: 0 } }),
      );
    }
    assert.deepEqual((await waiting).data, { status: "completed" });
    await assert.rejects(
      qmp.waitFor("STOP", () => true, 10),
      { code: "QMP_TIMEOUT" },
    );
    qmp.close();
  });
});

describe("a spec", () => {
  it("needs a name and memory, and has defaults for the rest", () => {
    const spec = parseSpec({ name: "web", memory: "512MiB" });
    assert.equal(spec.machine, "q35");
    assert.equal(spec.accel, "auto");
    assert.equal(spec.cpus, 1);
  });

  const good = { name: "web", memory: "512MiB" };
  const bad: [string, object, RegExp][] = [
    ["a name that is a path", { ...good, name: "../x" }, /name:/],
    ["memory without a unit", { ...good, memory: "512" }, /memory: must be a whole number with B, KiB/],
    ["memory that QEMU would round", { ...good, memory: "5004KiB" }, /memory: must be a multiple of 8KiB/],
    ["no CPU", { ...good, cpus: 0 }, /cpus:/],
    ["a relative path", { ...good, kernel: "vmlinuz" }, /kernel: must be an absolute path/],
    ["a CPU that smuggles an option", { ...good, cpu: "x -drive y" }, /cpu:/],
    ["an unknown field", { ...good, ram: 1 }, /"ram"/],
    ["a tap with a comma", { ...good, nics: [{ type: "tap", ifname: "a,b" }] }, /nics.0.ifname/],
  ];
  for (const [what, input, words] of bad) {
    it(`with ${what} is refused, naming it`, () => {
      assert.throws(
        () => parseSpec(input),
        (error: Error & { code: string }) => {
          assert.equal(error.code, "SPEC_INVALID");
          assert.match(error.message, words);
          return true;
        },
      );
    });
  }

  it("sizes are read and written exactly", () => {
    for (const text of ["1B", "1023KiB", "512MiB", "3GiB", "2TiB"])
      assert.equal(formatSize(parseSize(text)!), text);
    for (const text of ["", "1", "1.5GiB", "-1MiB", "1mib", "1 MiB", "999999999999TiB"])
      assert.equal(parseSize(text), null);
  });

  it("becomes the same machine for a running and an incoming QEMU", () => {
    const paths = vmPaths("/run/vm,1");
    const run = qemuArgs(RESOLVED, paths, "run");
    assert.deepEqual(qemuArgs(RESOLVED, paths, "incoming"), [...run, "-S", "-incoming", "defer"]);
    assert.ok(run.includes("pc-q35-7.2,accel=tcg"));
    assert.ok(
      run.some((arg) => arg.includes("path=/run/vm,,1/qmp,server=on")),
      "a comma in a path must be doubled",
    );
  });
});

describe("a VM's files", () => {
  it("are in a folder that no one else may enter", () => {
    const open = join(scratch, "open");
    mkdirSync(open, { mode: 0o755 });
    assert.throws(() => privateDir(open), { code: "PATH_UNSAFE" });
    const closed = privateDir(join(scratch, "closed"));
    const link = join(scratch, "link");
    symlinkSync(closed, link);
    assert.throws(() => privateDir(link), { code: "PATH_UNSAFE" });
    assert.equal(privateDir(closed), closed);
  });

  it("have socket paths that the system takes", () => {
    assert.equal(socketPath(`/${"x".repeat(106)}`).length, 107);
    assert.throws(() => socketPath(`/${"ä".repeat(54)}`), {
      code: "PATH_TOO_LONG",
      fields: { path: `/${"ä".repeat(54)}`, bytes: 109, bytesMax: 107 },
    });
  });

  it("keep a record that is read back as it was", () => {
    const dir = privateDir(join(scratch, "record"));
    assert.equal(readRecord(dir), null);
    const process = { pid: 1, startTicks: 2 };
    writeRecord(dir, { version: 1, spec: RESOLVED, process, incoming: true, adopted: null });
    assert.deepEqual(readRecord(dir), { version: 1, spec: RESOLVED, process, incoming: true, adopted: null });
  });
});

describe("a process", () => {
  it("is not taken for another one with the same number", () => {
    const self = processId(process.pid);
    assert.ok(self !== null && isAlive(self));
    assert.equal(isAlive({ pid: self.pid, startTicks: self.startTicks - 1 }), false);
    assert.equal(processId(2 ** 22 + 1), null);
  });
});
