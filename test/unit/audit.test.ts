/**
 * Goal: the audit log takes entries and gives them back, cannot be changed through its own database connection, and whoever
 * changes the file from outside is found out, with the entry at which it begins.
 * Method: real SQLite files in a temporary folder; the tampering is done as somebody would who may write the file: triggers
 * dropped, rows changed, removed, swapped, made anew.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it } from "node:test";
import pino from "pino";
import { type AuditLine, AuditLog, byItself } from "../../src/agent/audit.ts";
import { Refusals } from "../../src/agent/refusals.ts";

const scratch = mkdtempSync(join(tmpdir(), "gw-audit-"));
after(() => rmSync(scratch, { recursive: true }));
let wallMs = Date.UTC(2026, 0, 1);
const clock = { wallMs: () => ++wallMs, monoMs: () => 0 };
let files = 0;

function logTo(lines: string[]) {
  return pino({ level: "error" }, { write: (line) => void lines.push(line) });
}

function open(path: string, lines: string[] = []): AuditLog {
  return new AuditLog(path, clock, logTo(lines));
}

/** A file with five entries, its log closed. */
function filled(): string {
  const path = join(scratch, `${++files}.sqlite`);
  const audit = open(path);
  for (let n = 1; n <= 5; n++) audit.write(byItself(`order ${n}`, null));
  audit.close();
  return path;
}

/** As somebody who may write the file. */
function tamper(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec("DROP TRIGGER entry_stays; DROP TRIGGER entry_remains; DROP TRIGGER entry_follows;");
  db.exec(sql);
  db.close();
}

async function brokenAt(path: string): Promise<number | null> {
  const audit = open(path);
  const { broken } = await audit.verify();
  audit.close();
  return broken?.seq ?? null;
}

describe("the audit log", () => {
  it("keeps entries in order, also for the next agent, in a file that is the owner's alone", async () => {
    const path = filled();
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const audit = open(path);
    audit.write(byItself("order 6", "more"));
    const all = audit.list();
    assert.deepEqual(
      all.map(({ seq, order }) => `${seq} ${order}`),
      [1, 2, 3, 4, 5, 6].map((n) => `${n} order ${n}`),
    );
    assert.deepEqual(
      audit.list({ after: 2, limit: 2 }).map(({ seq }) => seq),
      [3, 4],
    );
    assert.deepEqual(
      audit.list({ sinceMs: Date.parse(all[4]!.at) }).map(({ seq }) => seq),
      [5, 6],
    );
    const verdict = await audit.verify();
    assert.deepEqual([verdict.entries, verdict.broken, verdict.head], [6, null, audit.head]);
    audit.close();
  });

  it("takes no change of an entry, not even by a replacing insert", () => {
    const path = filled();
    const db = new DatabaseSync(path);
    const row = "(2, 0, '{}', '')";
    for (const sql of [
      "UPDATE entry SET json = '{}' WHERE seq = 2",
      "DELETE FROM entry WHERE seq = 5",
      `INSERT OR REPLACE INTO entry VALUES ${row}`,
      `INSERT INTO entry VALUES (9, 0, '{}', '')`,
    ])
      assert.throws(() => db.exec(sql), /append-only/, sql);
    db.close();
  });

  for (const [what, sql, at] of [
    ["a changed entry", "UPDATE entry SET json = replace(json, 'order 3', 'order X') WHERE seq = 3", 3],
    ["a changed time", "UPDATE entry SET at_ms = 1 WHERE seq = 4", 4],
    ["a removed entry", "DELETE FROM entry WHERE seq = 2", 2],
    ["a removed beginning", "DELETE FROM entry WHERE seq < 3", 1],
    ["an entry that is not JSON", "UPDATE entry SET json = 'x' WHERE seq = 5", 5],
    [
      "entries that changed places",
      "UPDATE entry SET seq = 99 WHERE seq = 2; UPDATE entry SET seq = 2 WHERE seq = 3; UPDATE entry SET seq = 3 WHERE seq = 99",
      2,
    ],
    ["an entry put in", "INSERT INTO entry SELECT 6, at_ms, json, hash FROM entry WHERE seq = 5", 6],
  ] as const)
    it(`finds ${what}`, async () => {
      const path = filled();
      assert.equal(await brokenAt(path), null);
      tamper(path, sql);
      assert.equal(await brokenAt(path), at);
      const audit = open(path);
      assert.doesNotThrow(() => audit.list());
      audit.close();
    });

  it("while its agent lives, notices that its end was cut off, says so in an entry, and goes on", async () => {
    const lines: string[] = [];
    const path = filled();
    const audit = open(path, lines);
    tamper(path, "DELETE FROM entry WHERE seq > 3");
    assert.equal((await audit.verify()).broken?.seq, 4);
    audit.write(byItself("order 6", null));
    assert.match(lines.join(), /changed from outside/);
    const [found, next] = audit.list({ after: 3 });
    assert.deepEqual([found?.error, next?.order], ["AUDIT_BROKEN", "order 6"]);
    assert.match(found?.detail ?? "", /it ended with entry 3, and 5 had been written/);
    assert.equal(
      (await audit.verify()).broken,
      null,
      "the new entries are whole; the one about the cut stays",
    );
    audit.close();
  });

  it("that cannot be written leaves its entry in the agent's own log", () => {
    const lines: string[] = [];
    const audit = open(filled(), lines);
    audit.close();
    audit.write(byItself("after the end", null));
    assert.match(lines.join(), /"order":"after the end"/);
  });
});

describe("refusals", () => {
  const refusal = (from: string): AuditLine => ({
    ...byItself("connect", null),
    who: { role: null, name: null, how: "tls", from },
    outcome: "refused",
    error: "TLS_UNTRUSTED",
  });

  it("are written at once, and those like them once with their number", () => {
    const lines: AuditLine[] = [];
    const refusals = new Refusals((line) => void lines.push(line), 60_000);
    for (let n = 0; n < 1000; n++) refusals.add(refusal("10.0.0.9"));
    refusals.add(refusal("10.0.0.8"));
    assert.equal(lines.length, 2);
    refusals.stop();
    assert.deepEqual(
      lines.map(({ who, times }) => [who.from, times]),
      [
        ["10.0.0.9", 1],
        ["10.0.0.8", 1],
        ["10.0.0.9", 999],
      ],
    );
  });

  it("from ever new addresses do not fill the log", () => {
    const lines: AuditLine[] = [];
    const refusals = new Refusals((line) => void lines.push(line), 60_000);
    for (let n = 0; n < 5000; n++) refusals.add(refusal(`10.0.${n >> 8}.${n & 255}`));
    refusals.stop();
    assert(lines.length < 80, `${lines.length} entries`);
    assert.equal(
      lines.reduce((sum, { times }) => sum + times, 0),
      5000,
      "and each is counted",
    );
  });
});
