/** What really crosses the loopback interface, read by tcpdump. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { tcpdump } from "../../lab/setup/mod.ts";

/** Beyond a segment of the largest size that loopback hands on in one piece. */
const SNAP_BYTES = 262_144;
const BUFFER_KIB = 131_072;

/** Why packets cannot be captured here; undefined: they can. */
export function noCapture(): string | undefined {
  if (tcpdump() === null) return "no tcpdump: npm run setup -- --tests fetches it on Debian";
  return process.geteuid?.() === 0 ? undefined : "capturing packets needs root";
}

export class Capture {
  readonly #path: string;
  readonly #child: ChildProcess;
  #words = "";

  private constructor(path: string, ports: readonly number[]) {
    this.#path = path;
    const filter = ports.map((port) => `tcp port ${port}`).join(" or ");
    const how = ["-i", "lo", "-n", "-U", "-Z", "root", "-s", `${SNAP_BYTES}`, "-B", `${BUFFER_KIB}`];
    this.#child = spawn(tcpdump()!, [...how, "-w", path, filter], { stdio: ["ignore", "ignore", "pipe"] });
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#words += text;
    });
  }

  /** Begins; everything on these ports from now on is in it. */
  static async start(path: string, ports: readonly number[]): Promise<Capture> {
    const capture = new Capture(path, ports);
    const deadline = performance.now() + 20_000;
    while (!/listening on/.test(capture.#words)) {
      assert(performance.now() < deadline && capture.#child.exitCode === null, capture.#words);
      await sleep(20);
    }
    return capture;
  }

  /** Ends; returns all of it. Fails when the kernel had to drop packets. */
  async end(): Promise<Buffer> {
    await sleep(300); // what has crossed is still on its way to the file
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGINT");
    await gone;
    const bytes = readFileSync(this.#path);
    rmSync(this.#path);
    assert.match(this.#words, /\b0 packets dropped by kernel/, this.#words);
    return bytes;
  }
}
