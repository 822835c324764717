/**
 * Goal: a relay that waits rehearses what it is for: pages in each form cross from side to side and arrive whole; nothing of
 * it stays; and an order that comes meanwhile is obeyed at once.
 * Method: rehearsals in this process, to the end or ended after some ms, and what Node still has open afterwards; a relay's
 * process that gets its options during one, and after one.
 */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { REHEARSE, rehearse } from "../../src/relay/rehearsal.ts";
import type { TargetRelayOptions } from "../../src/relay/types.ts";

const CHILD = new URL("../../src/relay/child.ts", import.meta.url).pathname;
const LIMIT = { timeout: 60_000 };

/** What Node has open: sockets, servers, requests of theirs, contexts of zstd. */
const open = (): string[] =>
  process.getActiveResourcesInfo().filter((name) => !/Timeout|Immediate/.test(name));

/** Closing takes a turn or some. */
async function closed(before: readonly string[], when: string): Promise<void> {
  for (let i = 0; i < 400 && open().length > before.length; i++) await sleep(20);
  assert.deepEqual(open().sort(), before.toSorted(), when);
}

it("pages in each form cross and arrive whole, and nothing stays open", LIMIT, async () => {
  const before = open();
  const figures = await rehearse(new AbortController().signal);
  assert.ok(figures?.engine);
  assert.equal(figures.equal, true, "the digests agree");
  const { forms, packed, unchanged } = figures.engine;
  for (const name of ["zero", "same", "delta", "sparse", "raw"] as const)
    assert.ok(forms[name].pages > 100, `${forms[name].pages} pages of the form ${name}`);
  assert.ok(unchanged > 100, `${unchanged} pages that the target has already`);
  assert.ok(packed.batches > 20, `${packed.batches} batches packed`);
  await closed(before, "after the whole of it");
});

it("it ends at once when it is told to, whenever that is", LIMIT, async () => {
  const before = open();
  for (const ms of [0, 3, 10, 30, 60]) {
    const ending = new AbortController();
    const figures = rehearse(ending.signal);
    await sleep(ms);
    ending.abort();
    await figures;
    await closed(before, `after ${ms} ms`);
  }
  const ended = AbortSignal.abort();
  assert.equal(await rehearse(ended), undefined);
});

it("a relay's process obeys an order during a rehearsal and after one", LIMIT, async () => {
  const options: TargetRelayOptions = {
    ...{ side: "target", listen: "127.0.0.1:0", forward: "/nowhere", insecure: false, ticket: "" },
    ...{ pageCacheBytes: 0, reconnectForMs: 1000, postcopyReconnectForMs: 0 },
  };
  for (const ms of [0, 1500]) {
    const child = fork(CHILD, { execArgv: [], stdio: ["ignore", "ignore", "pipe", "ipc"] });
    let said = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    try {
      child.send(REHEARSE);
      await sleep(ms);
      child.send(options);
      const [event] = await once(child, "message");
      assert.equal(event.event, "listening");
      assert.equal(said, "");
    } finally {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  }
});
