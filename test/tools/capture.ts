/**
 * Captures a real migration: two QEMUs, joined by a pass-through in this process that records both directions.
 * The guest is a few bytes of multiboot code that writes 4 MiB of memory without end.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { QemuArtefact } from "../../lab/setup/mod.ts";
import type { MigrationInfo, Qmp } from "../../src/qemu/mod.ts";
import { qmpWhenThere } from "./qmp.ts";

export interface CaptureOptions {
  readonly source: QemuArtefact;
  readonly target: QemuArtefact;
  readonly machine: string;
  readonly capabilities: readonly string[];
  /** How it ends: by raising downtime-limit after the second pass, or by post-copy. */
  readonly finish: "precopy" | "postcopy";
  /** Break the post-copy connection while it runs, and recover on a second one. */
  readonly interrupt?: boolean;
}

/** One connection: what the source wrote, and what the target answered. */
export interface Recording {
  readonly forward: Buffer;
  readonly back: Buffer;
}

export interface Capture {
  readonly connections: readonly Recording[];
  readonly info: MigrationInfo & { readonly "xbzrle-cache"?: { readonly bytes: number } };
}

/**
 * inc dword [edi] over 0x200000..0x600000, page by page, for ever; after the first sweep it says A on the debug
 * console. The header asks the loader for 0x100000; the code begins behind it, in protected mode with flat segments.
 */
function dirtyingGuest(): Buffer {
  const image = Buffer.alloc(4096);
  const flags = 0x10000;
  const words = [0x1badb002, flags, -(0x1badb002 + flags) >>> 0, 0x100000, 0x100000, 0, 0, 0x100020];
  words.forEach((word, i) => {
    image.writeUInt32LE(word, 4 * i);
  });
  const sweep = "bf00002000" + "ff07" + "81c700100000" + "81ff00006000" + "72f0";
  const sayA = "b041" + "e6e9";
  const again = "ebe9";
  Buffer.from(sweep + sayA + sweep + again, "hex").copy(image, 0x20);
  return image;
}

/** A QEMU with the dirtying guest, its QMP ready. Files it makes are called `name` with an ending. */
async function start(
  dir: string,
  name: string,
  qemu: QemuArtefact,
  args: readonly string[],
  children: ChildProcess[],
) {
  const kernel = join(dir, "guest");
  await writeFile(kernel, dirtyingGuest());
  const socket = join(dir, `${name}.qmp`);
  const common = ["-nodefaults", "-display", "none", "-m", "32,maxmem=128M,slots=1", "-cpu", "Nehalem-v1"];
  const debug = [
    "-debugcon",
    `file:${join(dir, `${name}.out`)}`,
    "-qmp",
    `unix:${socket},server=on,wait=off`,
  ];
  const child = spawn(qemu.binary, [...qemu.args, ...common, ...debug, "-kernel", kernel, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  children.push(child);
  return untilQmp(socket, child);
}

async function untilGuestRuns(dir: string, name: string): Promise<void> {
  const said = async () => (await readFile(join(dir, `${name}.out`), "latin1")).endsWith("A");
  await untilTrue(said, "the guest runs");
}

const switchedOn = (names: readonly string[]) => ({
  capabilities: names.map((capability) => ({ capability, state: true })),
});

/** Runs one migration into a file, without a target and without a return path, and gives its bytes. */
export async function captureFile(
  qemu: QemuArtefact,
  options: {
    readonly machine: string;
    readonly capabilities: readonly string[];
    readonly args?: readonly string[];
  },
): Promise<{ readonly bytes: Buffer; readonly info: MigrationInfo }> {
  const dir = await mkdtemp(join(tmpdir(), "godwit-capture-"));
  const children: ChildProcess[] = [];
  try {
    const source = await start(
      dir,
      "source",
      qemu,
      ["-M", options.machine, ...(options.args ?? [])],
      children,
    );
    await untilGuestRuns(dir, "source");
    await source.execute("migrate-set-capabilities", switchedOn(options.capabilities));
    await source.execute("migrate", { uri: `exec:cat >${join(dir, "stream")}` });
    const info = await until(source, ({ status }) => status === "completed");
    return { bytes: await readFile(join(dir, "stream")), info };
  } finally {
    await Promise.all(children.map(end));
    await rm(dir, { recursive: true, force: true });
  }
}

/** Runs one migration to its end and gives what crossed. Everything it started or made is gone afterwards. */
export async function capture(options: CaptureOptions): Promise<Capture> {
  const dir = await mkdtemp(join(tmpdir(), "godwit-capture-"));
  const children: ChildProcess[] = [];
  const taps: Tap[] = [];
  try {
    const args = ["-M", options.machine];
    const target = await start(
      dir,
      "target",
      options.target,
      [...args, "-S", "-incoming", "defer"],
      children,
    );
    const source = await start(dir, "source", options.source, args, children);
    await untilGuestRuns(dir, "source");
    const capabilities = switchedOn(["events", ...options.capabilities]);
    await target.execute("migrate-set-capabilities", capabilities);
    await source.execute("migrate-set-capabilities", capabilities);
    await source.execute("migrate-set-parameters", { "max-bandwidth": 8 << 20, "downtime-limit": 1 });

    const incoming = (n: number) => join(dir, `in${n}`);
    taps.push(await Tap.open(join(dir, "tap0"), incoming(0)));
    await target.execute("migrate-incoming", { uri: `unix:${incoming(0)}` });
    await source.execute("migrate", { uri: `unix:${join(dir, "tap0")}` });
    await until(source, (info) => (info.ram?.["dirty-sync-count"] ?? 0) >= 3);
    if (options.finish === "postcopy") {
      if (options.interrupt)
        await source.execute("migrate-set-parameters", { "max-postcopy-bandwidth": 1 << 20 });
      await source.execute("migrate-start-postcopy");
    } else {
      await source.execute("migrate-set-parameters", { "max-bandwidth": 0, "downtime-limit": 2_000_000 });
    }
    if (options.interrupt) {
      // Before its package has been loaded post-copy cannot be recovered: wait for PONG 3 and PONG 4.
      const pong = (value: number) => Buffer.from([0, 2, 0, 4, 0, 0, 0, value]);
      const loaded = async () => [3, 4].every((value) => taps[0]!.recording.back.includes(pong(value)));
      await untilTrue(loaded, "the package is loaded");
      taps[0]!.cut();
      await until(source, (info) => info.status === "postcopy-paused");
      await until(target, (info) => info.status === "postcopy-paused");
      taps.push(await Tap.open(join(dir, "tap1"), incoming(1)));
      await target.execute("migrate-recover", { uri: `unix:${incoming(1)}` });
      await source.execute("migrate-set-parameters", { "max-postcopy-bandwidth": 0 });
      await source.execute("migrate", { uri: `unix:${join(dir, "tap1")}`, resume: true });
    }
    const info = await until(source, ({ status }) => status === "completed");
    await until(target, ({ status }) => status === "completed");
    await Promise.all(taps.map((tap) => tap.closed()));
    return { connections: taps.map((tap) => tap.recording), info };
  } finally {
    await Promise.all(children.map(end));
    for (const tap of taps) tap.destroy();
    await rm(dir, { recursive: true, force: true });
  }
}

async function untilQmp(path: string, child: ChildProcess): Promise<Qmp> {
  let stderr = "";
  child.stderr!.on("data", (chunk) => {
    stderr += chunk;
  });
  return qmpWhenThere(path, () => (child.exitCode === null ? null : stderr));
}

async function untilTrue(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain until ${what}`);
}

async function until(qmp: Qmp, holds: (info: MigrationInfo) => boolean): Promise<MigrationInfo> {
  let info: MigrationInfo = {};
  await untilTrue(async () => {
    info = await qmp.execute("query-migrate");
    if (info.status === "failed") throw new Error(`the migration failed: ${info["error-desc"]}`);
    return holds(info) || info.status === "completed";
  }, "the migration gets there");
  if (!holds(info)) throw new Error("the migration completed too early");
  return info;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/** One connection's pass-through. */
class Tap {
  readonly #server: Server;
  readonly #forward: Buffer[] = [];
  readonly #back: Buffer[] = [];
  #sockets: Socket[] = [];
  readonly #ended = Promise.withResolvers<void>();

  private constructor(server: Server, to: string) {
    this.#server = server;
    server.on("connection", (source) => {
      const target = connect(to);
      this.#sockets = [source, target];
      this.#pass(source, target, this.#forward);
      this.#pass(target, source, this.#back);
    });
  }

  static async open(path: string, to: string): Promise<Tap> {
    const server = createServer({ allowHalfOpen: true });
    const tap = new Tap(server, to);
    server.listen(path);
    await once(server, "listening");
    return tap;
  }

  /** Resolves when the connection has ended, so that everything was recorded. */
  async closed(): Promise<void> {
    await this.#ended.promise;
  }

  get recording(): Recording {
    return { forward: Buffer.concat(this.#forward), back: Buffer.concat(this.#back) };
  }

  /** Breaks the connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  destroy(): void {
    this.cut();
    this.#server.close();
  }

  #pass(from: Socket, to: Socket, record: Buffer[]): void {
    from.on("data", (chunk: Buffer) => {
      record.push(chunk);
      if (!to.write(chunk)) {
        from.pause();
        to.once("drain", () => from.resume());
      }
    });
    from.on("end", () => to.end());
    from.on("error", () => to.destroy()); // a broken connection breaks both sides, as a cable would
    from.on("close", () => {
      to.destroySoon();
      if (this.#sockets.every((socket) => socket.destroyed)) this.#ended.resolve();
    });
  }
}
