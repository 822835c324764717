/**
 * Goal: the command line takes amounts strictly, ends with the documented exit codes, and shows figures rightly.
 * Method: parsers and formatters on values; whole command lines as processes, without an agent.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Command } from "commander";
import { exitOf, reportText } from "../../src/cli/outcome.ts";
import { program } from "../../src/cli/program.ts";
import { progressLine } from "../../src/cli/progress.ts";
import { bitRate, bytes, table, time } from "../../src/cli/show.ts";
import { bandwidth, duration, rate, size } from "../../src/cli/units.ts";
import type { Report } from "../../src/migration/mod.ts";

const REPORT: Report = {
  id: "m1",
  vm: "web",
  strategy: "precopy",
  status: "completed",
  startedAt: "2030-01-01T00:00:00.000Z",
  totalTimeMs: 4_200,
  downtimeMs: 31,
  blackoutMs: 43,
  gapAfterResumeMs: 12,
  balloon: null,
  switchover: null,
  engine: null,
  paging: null,
  passes: 4,
  ramBytes: 2 ** 29,
  streamBytes: 2 ** 28,
  wireBytes: { forward: 2 ** 28, backward: 4096 },
  pages: { sent: 10, zero: 4, raw: 6, encoded: 0 },
  faults: 0,
  cpuMs: { source: 1, target: 1 },
  rssBytes: { source: 1, target: 1 },
  equal: true,
  reconnects: 0,
  qemu: { source: "7.2.22", target: "7.2.22" },
  error: null,
};

describe("amounts", () => {
  it("have a unit, and mean what they say", () => {
    assert.equal(duration("300ms"), 300);
    assert.equal(duration("1.5s"), 1_500);
    assert.equal(duration("10m"), 600_000);
    assert.equal(rate("1Gbit"), 125_000_000);
    assert.equal(rate("0"), 0);
    assert.equal(size("512MiB"), 2 ** 29);
  });

  it("of a bandwidth are one rate, or the least and the most", () => {
    assert.deepEqual(bandwidth("8Mbit"), { minBytesPerSec: 0, maxBytesPerSec: 1_000_000 });
    assert.deepEqual(bandwidth("0"), { minBytesPerSec: 0, maxBytesPerSec: 0 });
    assert.deepEqual(bandwidth("8Mbit..16Mbit"), { minBytesPerSec: 1_000_000, maxBytesPerSec: 2_000_000 });
    for (const text of ["16Mbit..8Mbit", "0..8Mbit", "8Mbit..0", "8Mbit..", "..8Mbit", "1Mbit..2Mbit..3Mbit"])
      assert.throws(() => bandwidth(text), { code: "USAGE" }, text);
  });

  it("of any other form are refused with the forms that are taken", () => {
    for (const text of ["", "300", "-1s", "1 s", "1S", "1e3s", "s"]) {
      assert.throws(
        () => duration(text),
        (e: Error & { code: string }) => e.code === "USAGE" && /300ms or 10m/.test(e.message),
      );
    }
    for (const text of ["1G", "1gbit", "1MB", "1"]) assert.throws(() => rate(text), /Mbit or Gbit/);
    for (const text of ["512", "512M", "512MB"]) assert.throws(() => size(text), /512MiB/);
    assert.throws(() => rate("7bit"), { code: "USAGE" }, "rounding to 0 would lift the cap");
  });
});

describe("figures", () => {
  it("are shown in units people read", () => {
    assert.equal(bytes(0), "0 B");
    assert.equal(bytes(1536), "1.5 KiB");
    assert.equal(bytes(2 ** 29), "512 MiB");
    assert.equal(bitRate(125_000_000), "1.0 Gbit/s");
    assert.equal(time(31.4), "31 ms");
    assert.equal(time(4_200), "4.2 s");
    assert.equal(time(90_000), "1 min 30 s");
    for (const show of [bytes, bitRate, time]) assert.equal(show(null), "-");
    assert.equal(
      table(
        ["A", "B"],
        [
          ["long", "x"],
          ["s", "y"],
        ],
      ),
      "A     B\nlong  x\ns     y",
    );
  });

  it("of a running migration are shown as far as they are known", () => {
    const nothing = {
      remainingBytes: null,
      streamBytesPerSec: null,
      wireBytesPerSec: null,
      dirtyBytesPerSec: null,
    };
    const more = { expectedDowntimeMs: null, timeLeftMs: null, ramBytes: null, report: null, ended: false };
    const linkLostAt = null;
    const order = { id: "m1", vm: "web", to: "b:1", strategy: "precopy" as const, elapsedMs: 5 };
    const status = { ...order, ...nothing, ...more, linkLostAt, phase: "precopy", pass: null };
    assert.equal(progressLine(status), "web -> b:1  precopy");
    const known = { pass: 2, remainingBytes: 2 ** 20, wireBytesPerSec: 1e8, timeLeftMs: 0 };
    assert.equal(
      progressLine({ ...status, ...known }),
      "web -> b:1  precopy  pass 2  1.0 MiB left  link 800 Mbit/s  0 ms to go",
    );
    const lostAt = new Date(2026, 1, 3, 4, 5, 6).toISOString();
    assert.equal(
      progressLine({ ...status, phase: "postcopy", linkLostAt: lostAt }),
      "web -> b:1  postcopy  link lost since 04:05:06, trying again",
    );
  });

  it("of an engine say in which forms pages crossed, and leave out what did not happen", () => {
    const none = { pages: 0, bytes: 0 };
    const engine: Report["engine"] = {
      ...{ name: "auto", policy: "stream", cacheBytes: 2 ** 27, effort: 3 },
      forms: {
        ...{ zero: { pages: 100, bytes: 300 }, delta: { pages: 10, bytes: 1_200 } },
        ...{ same: none, sparse: none, wkdm: none, raw: none },
      },
      packed: { batches: 2, unpackedBytes: 2_048, bytes: 1_024 },
      ...{ unchanged: 7, superseded: 0, passed: 0, repaired: 0 },
      stageMs: { encode: 12, pack: 5, unpack: null, decode: null },
    };
    assert.equal(
      reportText({ ...REPORT, engine })
        .split("\n")
        .slice(3)
        .join("\n"),
      [
        "  engine auto, policy stream, page cache 128 MiB",
        "    FORM   PAGES  BYTES    PER PAGE",
        "    zero   100    300 B    3 B",
        "    delta  10     1.2 KiB  120 B",
        "  zstd: 2 batches, 2.0 KiB became 1.0 KiB",
        "  pages unchanged 7",
        "  CPU encode 12 ms, pack 5 ms",
      ].join("\n"),
    );
  });

  it("of a switchover name the rule and why, and the last decisions; without one what was waited for", () => {
    const decisions = ["first-pass", "over-budget", "small"].map((rule, i) => ({
      ...{ atMs: 1_000 * i, pass: i + 1, rule, expectedDowntimeMs: i === 0 ? null : 70 },
    }));
    const text = reportText({ ...REPORT, switchover: { rule: "small", decisions } });
    assert.match(text, /ended by rule small: a stop is short/);
    assert.match(text, /2\.0 s +3 +small +70 ms/);
    const open = { rule: null, decisions: decisions.slice(0, 2) };
    const error = { code: "MIGRATION_TIMEOUT", fields: {}, message: "" };
    assert.match(
      reportText({ ...REPORT, status: "aborted", error, switchover: open }),
      /was not ended\n.*\n.*first-pass.*\n.*over-budget +70 ms\n/,
    );
  });

  it("of a report say what is proven and what is not", () => {
    assert.match(
      reportText(REPORT),
      /web has moved.*\n.*downtime 31 ms, blackout 43 ms; memory proven equal/,
    );
    assert.match(reportText({ ...REPORT, equal: null }), /NOT proven/);
    const error = { code: "LINK_LOST", fields: { address: "b:1", afterMs: 5 }, message: "" };
    const text = reportText({ ...REPORT, status: "aborted", error });
    assert.match(text, /it runs on the source/);
    assert.match(text, /The link to b:1 was lost[\s\S]*reconnect-for/);
  });
});

describe("exit codes", () => {
  const self = join(import.meta.dirname, "../../src/cli/main.ts");
  /** Runs a command line as users do; what it printed, and its code. */
  function godwit(...args: string[]): { code: number | null; out: string; err: string } {
    const done = spawnSync(process.execPath, [self, ...args], { encoding: "utf8", timeout: 60_000 });
    return { code: done.status, out: done.stdout, err: done.stderr };
  }

  it("tell a migration's endings apart", () => {
    const endings = ["completed", "refused", "aborted", "inDoubt", "lost"] as const;
    const codes = endings.map((status) => exitOf({ ...REPORT, status }));
    assert.deepEqual(codes, [0, 3, 4, 5, 5]);
  });

  it("are 0 for help and 2 for usage, with the accepted forms", () => {
    assert.equal(godwit("vm", "start", "--help").code, 0);
    assert.equal(godwit("nonsense").code, 2);
    const wrong = godwit("migrate", "web", "--to", "b:1", "--downtime-limit", "300");
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, /300ms or 10m/);
    assert.equal(godwit("migrate", "web", "--to", "b:1", "--downtime-limit", "0ms").code, 2);
    assert.equal(godwit("migrate", "web", "--to", "b:1", "--strategy", "magic").code, 2);
    assert.equal(godwit("migrate", "web", "--to", "b:1", "--engine", "magic").code, 2);
    assert.match(godwit("migrate", "web", "--to", "b:1", "--page-cache", "4GiB").err, /more than 768MiB/);
  });

  it("are 2 for a bare relay whose bandwidth should follow passes that nobody tells it of", () => {
    const flags = ["--listen", "unix:/nonexistent/a", "--to", "b:1", "--bandwidth", "1Mbit..2Mbit"];
    const { code, err } = godwit("relay", "source", ...flags);
    assert.equal(code, 2);
    assert.match(err, /relay alone does not hear of them/);
  });

  it("are 3 where no agent answers, with the way out and nothing on stdout", () => {
    const { code, out, err } = godwit("vm", "list", "--socket", "/nonexistent/agent.sock");
    assert.equal(code, 3);
    assert.equal(out, "");
    assert.match(err, /No agent answers at \/nonexistent\/agent.sock[\s\S]*godwit agent run/);
  });
});

describe("help", () => {
  it("of every command has an example", () => {
    const leaves = (command: Command): Command[] =>
      command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
    const all = leaves(program());
    assert.ok(all.length >= 12);
    for (const command of all) {
      let help = "";
      const writeOut = (text: string) => {
        help += text;
      };
      command.configureOutput({ writeOut }).outputHelp();
      assert.match(help, /Examples?:\n {2}\S/, command.name());
    }
  });
});
