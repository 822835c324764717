/**
 * Goal: what the lab reads from a guest and hands to it is exact, for it judges every other test.
 * Method: hand-written lines for the oracle, a byte-wise look at the archive writer; no guest is started here.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CpioType, cpioArchive, GuestOracle, guestCommandLine, parseGuestLine } from "../../lab/guest/mod.ts";

test("the oracle reads lines however they are cut", () => {
  const text =
    "R ready ws=4096 mode=words rate=1 seed=1 ms=9\nH 1 10\r\nV 1 OK pages=1 writes=0 ms=4 corrupt=0\n";
  for (let cut = 0; cut <= text.length; cut++) {
    const oracle = new GuestOracle();
    oracle.feed(text.slice(0, cut), 0);
    oracle.feed(text.slice(cut), 5);
    assert.equal(oracle.ready, true);
    assert.equal(oracle.beats, 1);
    assert.equal(oracle.passesOk, 1);
    assert.deepEqual(oracle.faults, []);
  }
});

test("corruption, a bad pass and a panic are faults; a bad pass does not count as verified", () => {
  const oracle = new GuestOracle();
  oracle.feed("CORRUPT page=3 version=2 offset=9 what=content\n", 0);
  oracle.feed("V 1 BAD pages=1 writes=0 ms=4 corrupt=1\n", 0);
  oracle.feed("[    4.2] Kernel panic - not syncing: Attempted to kill init!\n", 0);
  assert.equal(oracle.faults.length, 3);
  assert.equal(oracle.passesOk, 0);
});

test("a CORRUPT line is seen even when half of another line precedes it", () => {
  assert.equal(parseGuestLine("H 12 CORRUPT page=3 version=2 offset=9 what=content").kind, "corrupt");
});

test("the blackout is the longest gap between heartbeats, and is taken once", () => {
  const oracle = new GuestOracle();
  for (const atMs of [100, 110, 400, 410]) oracle.feed(`H 1 ${atMs}\n`, atMs);
  assert.equal(oracle.takeBlackoutMs(), 290);
  assert.equal(oracle.takeBlackoutMs(), 0);
});

test("the command line names what was given and nothing else", () => {
  const words = guestCommandLine({ setMib: 48, mode: "zero" }).split(" ");
  assert.deepEqual(
    words.filter((word) => word.startsWith("gw.")),
    ["gw.ws=48", "gw.mode=zero"],
  );
  assert.ok(words.includes("console=ttyS0"));
});

test("an archive has the newc layout: aligned headers, sizes, trailer", () => {
  const archive = Buffer.from(
    cpioArchive([
      { path: "bin", mode: CpioType.folder | 0o755 },
      { path: "bin/a", mode: CpioType.file | 0o644, content: Buffer.from("hello") },
    ]),
  );
  const seen: { name: string; mode: number; content: string }[] = [];
  for (let at = 0; ; ) {
    assert.equal(at % 4, 0);
    assert.equal(archive.toString("latin1", at, at + 6), "070701");
    const field = (n: number): number =>
      Number.parseInt(archive.toString("latin1", at + 6 + 8 * n, at + 14 + 8 * n), 16);
    const name = archive.toString("latin1", at + 110, at + 110 + field(11) - 1);
    const body = at + 110 + field(11) + ((4 - ((110 + field(11)) % 4)) % 4);
    if (name === "TRAILER!!!") break;
    seen.push({ name, mode: field(1), content: archive.toString("latin1", body, body + field(6)) });
    at = body + field(6) + ((4 - (field(6) % 4)) % 4);
  }
  assert.deepEqual(seen, [
    { name: "bin", mode: 0o040755, content: "" },
    { name: "bin/a", mode: 0o100644, content: "hello" },
  ]);
  assert.equal(archive.length % 512, 0);
});
