/** Text of others: lines of a monitor, and what a VM's specification may be. */
import assert from "node:assert/strict";
import { LineSplitter } from "../../src/qemu/lines.ts";
import { parseMessage } from "../../src/qemu/messages.ts";
import { parseSize } from "../../src/qemu/size.ts";
import { vmSpecSchema } from "../../src/qemu/spec.ts";
import { hashOf, Random } from "../random.ts";
import type { Surface, Verdict } from "../types.ts";

const LINE_BYTES_MAX = 4096;

function lines(bytes: Buffer, cut: (at: number) => number): { lines: string[]; tooLong: number } {
  const splitter = new LineSplitter(LINE_BYTES_MAX);
  const out: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, cut(at));
    out.push(...splitter.push(bytes.subarray(at, end)));
    at = end;
  }
  return { lines: out, tooLong: splitter.tooLong };
}

function runMonitor(input: Uint8Array): Verdict {
  const bytes = Buffer.from(input);
  const whole = lines(bytes, () => bytes.length);
  const random = new Random(hashOf(input));
  assert.deepEqual(
    lines(bytes, (at) => at + 1 + random.below(100)),
    whole,
    "any cut gives the same lines",
  );
  const kinds = whole.lines.map((line) => {
    assert(Buffer.byteLength(line) <= 3 * LINE_BYTES_MAX, "a line is bounded");
    return parseMessage(line).kind;
  });
  return kinds.includes("bad") || whole.tooLong > 0 ? "rejected" : "accepted";
}

const MONITOR = [
  '{"QMP":{"version":{"qemu":{"micro":2,"minor":0,"major":10}},"capabilities":["oob"]}}\r\n',
  '{"return":{},"id":"1"}\r\n{"timestamp":{"seconds":1,"microseconds":2},"event":"STOP"}\r\n',
  '{"id":"2","error":{"class":"GenericError","desc":"no"}}\n{"return":{"status":"running","ram":{"total":1}},"id":"3"}\n',
  '{"timestamp":{"seconds":-1,"microseconds":-1},"event":"MIGRATION","data":{"status":"setup"}}\n',
];

function runSpec(input: Uint8Array): Verdict {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(input).toString());
  } catch {
    parseSize(Buffer.from(input).toString());
    return "rejected";
  }
  return vmSpecSchema.safeParse(value).success ? "accepted" : "rejected";
}

const SPECS = [
  { name: "vm1", memory: "64MiB" },
  {
    name: "vm1",
    memory: "1GiB",
    cpus: 2,
    memfd: true,
    kernel: "/k",
    append: "a=b",
    balloon: { hints: true },
  },
  {
    name: "a",
    memory: "64MiB",
    nics: [{ mac: "52:54:00:12:34:56" }],
    disks: [{ path: "/d", format: "raw" }],
  },
].map((spec) => JSON.stringify(spec));

const seeds = (texts: readonly string[]) => () => texts.map((text) => new TextEncoder().encode(text));

export const monitor: Surface = { name: "monitor", weight: 8, seeds: seeds(MONITOR), run: runMonitor };
export const spec: Surface = { name: "spec", weight: 7, seeds: seeds(SPECS), run: runSpec };
