/** `godwit relay` as a process of its own, as an orchestrator runs it: what it says, how it exits. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cacheDir } from "../../lab/mod.ts";
import { ABOUT, type ErrorCode } from "../../src/errors/mod.ts";
import type { Report } from "../../src/migration/mod.ts";

const GODWIT = join(import.meta.dirname, "../../bin/godwit");

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class RelayCli implements AsyncDisposable {
  stderr = "";
  stdout = "";
  readonly exit: Promise<Exit>;
  readonly #child: ChildProcess;

  constructor(...args: string[]) {
    this.#child = spawn(GODWIT, ["relay", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      // A start is half as dear with Node's compiled code at hand, and these tests start many.
      env: { ...process.env, NODE_COMPILE_CACHE: join(cacheDir(), "compiled") },
    });
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.exit = once(this.#child, "close").then(([code, signal]) => ({ code, signal }) as Exit);
  }

  /** Waits until stderr matches. Fails when the relay ends without having said so, or after `ms`. */
  async said(pattern: RegExp, ms = 30_000): Promise<RegExpMatchArray> {
    const deadline = performance.now() + ms;
    for (;;) {
      const over = this.#over;
      const match = pattern.exec(this.stderr);
      if (match !== null) return match;
      assert.ok(!over, `the relay ended and never said ${pattern}:\n${this.stderr}`);
      assert.ok(performance.now() < deadline, `the relay did not say ${pattern} in time:\n${this.stderr}`);
      await sleep(10);
    }
  }

  /** Where it listens: the unix path, or HOST:PORT with the port that the system chose. */
  async listening(): Promise<string> {
    return (await this.said(/listening on (\S+)\n/))[1]!;
  }

  /** Waits for its end: this exit code, by itself. Fails when it still runs after `ms`. */
  async ends(code: number, ms = 30_000): Promise<void> {
    const limit = new AbortController();
    const late = sleep(ms, "late" as const, { signal: limit.signal }).catch(() => "late" as const);
    const ended = await Promise.race([this.exit, late]);
    limit.abort();
    assert.ok(ended !== "late", `the relay did not end within ${ms} ms:\n${this.stderr}`);
    assert.deepEqual(ended, { code, signal: null }, this.stderr);
    assert.doesNotMatch(this.stderr, /^\s+at .*\.ts:\d+/m, "no stack of a bug is shown");
  }

  /** Ends with this error: its exit code, its sentence's form and its way out on stderr. */
  async fails(code: ErrorCode, says: RegExp): Promise<void> {
    await this.ends(ABOUT[code].exit);
    assert.match(this.stderr, says);
    assert.ok(this.stderr.includes(ABOUT[code].wayOut), `the way out of ${code} is said:\n${this.stderr}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Whatever it does, it is gone afterwards. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#over) this.#child.kill("SIGKILL");
    await this.exit;
  }

  get #over(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
}

/** The reports in the text of a report file or of stdout, one a line. */
export function reports(text: string): Report[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Report);
}

/** A folder under the system's temporary one that goes when the block ends. */
export function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "gw-fault-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Connects, writes, and tells what came back until the other side closed (or `ms` have passed: undefined). */
export async function say(
  where: net.NetConnectOpts,
  bytes: Uint8Array | string,
  ms = 20_000,
): Promise<Buffer | undefined> {
  const socket = net.connect(where);
  const heard: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => heard.push(chunk));
  socket.on("error", () => undefined); // a reset is an answer, too
  socket.write(bytes);
  const limit = new AbortController();
  const closed = await Promise.race([
    new Promise<true>((resolve) => socket.once("close", () => resolve(true))),
    sleep(ms, false as const, { signal: limit.signal }).catch(() => false as const),
  ]);
  limit.abort();
  socket.destroy();
  return closed ? Buffer.concat(heard) : undefined;
}

/** HOST:PORT as net.connect wants it. */
export function tcp(address: string): net.TcpNetConnectOpts {
  const at = address.lastIndexOf(":");
  return { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
}
