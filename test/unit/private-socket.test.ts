/**
 * Goal: a QMP socket is used only where nobody else can have put it, links are not followed, and no caller's words ever become
 * an address that QEMU opens.
 * Method: real sockets in real folders with each mode and owner that matters (other owners only where the test runs as root); and
 * the sources, read for every URI that QEMU is given.
 */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { migrationOrderSchema } from "../../src/agent/api.ts";
import { connectQmp } from "../../src/qemu/mod.ts";
import { connectChecked } from "../../src/qemu/privateSocket.ts";

const scratch = mkdtempSync(join(tmpdir(), "gw-socket-"));
const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
  rmSync(scratch, { recursive: true });
});
const root = process.geteuid?.() === 0;
const OTHER = 12_345;
let folders = 0;

/** A socket that answers, in a folder of this mode below `scratch`. */
async function socketIn(mode: number, parent = scratch): Promise<string> {
  const folder = join(parent, `${++folders}`);
  mkdirSync(folder);
  chmodSync(folder, mode);
  const path = join(folder, "qmp");
  const server = createServer((socket) => socket.on("error", () => undefined));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return path;
}

async function assertTaken(path: string): Promise<void> {
  (await connectChecked(path)).destroy();
}

const refused = (path: string, message: RegExp) =>
  assert.rejects(connectChecked(path), { code: "PATH_UNSAFE", message });

describe("a QMP socket", () => {
  it("in a folder of our own is taken, also below one that others may write to", async () => {
    await assertTaken(await socketIn(0o700));
    await assertTaken(await socketIn(0o755));
    const open = join(scratch, "open");
    mkdirSync(open);
    chmodSync(open, 0o777);
    await assertTaken(await socketIn(0o700, open));
    await refused(await socketIn(0o755, open), /open, and put another socket there/);
  });

  it("where others could put one is refused; a sticky folder as /tmp is none of these", async () => {
    await refused(await socketIn(0o777), /others may write/);
    await refused(await socketIn(0o770), /others may write/);
    await assertTaken(await socketIn(0o1777));
  });

  it("is not reached through a link, and nothing else is taken for one", async () => {
    const path = await socketIn(0o700);
    const link = join(scratch, "link");
    symlinkSync(path, link);
    await refused(link, /symbolic link/);
    const file = join(scratch, "file");
    writeFileSync(file, "");
    await refused(file, /no socket/);
    const folder = join(scratch, "way");
    symlinkSync(join(path, ".."), folder);
    await assertTaken(join(folder, "qmp")); // the folder that it means is what is judged
    await assert.rejects(connectQmp(join(scratch, "nobody")), { code: "QMP_UNREACHABLE" });
    await assert.rejects(connectQmp(link), { code: "PATH_UNSAFE" });
  });

  it("of another user is refused, except of the one whose folder it is in, for a root", {
    skip: !root,
  }, async () => {
    const inTmp = await socketIn(0o1777);
    lchownSync(inTmp, OTHER, OTHER);
    await refused(inTmp, /belongs to uid 12345/);
    const own = await socketIn(0o700);
    lchownSync(own, OTHER, OTHER);
    await refused(own, /belongs to uid 12345/);
    chownSync(join(own, ".."), OTHER, OTHER);
    await assertTaken(own);
  });
});

describe("addresses", () => {
  it("that QEMU is given are all made here, and are unix sockets", () => {
    const src = join(import.meta.dirname, "../../src");
    const uris = readdirSync(src, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && file !== "qemu/commands.ts")
      .flatMap((file) => [
        ...readFileSync(join(src, file), "utf8").matchAll(/\buri:.*|"-incoming".*|\bchannels:.*/g),
      ])
      .map(([line]) => line);
    const allowed = [/^uri: `unix:\$\{/, /^"-incoming", "defer"[\])]/];
    assert(uris.length >= 4, "the places are found");
    assert.deepEqual(
      uris.filter((line) => !allowed.some((form) => form.test(line))),
      [],
    );
  });

  it("that a caller gives are HOST:PORT and nothing else", () => {
    const ok = (to: string) => migrationOrderSchema.safeParse({ vm: "web", to }).success;
    for (const good of ["10.0.0.2:7700", "beta.example:7700", "[fd00::2]:7700"]) assert(ok(good), good);
    for (const bad of [
      ...[
        "exec:cat>/tmp/x",
        "file:/etc/passwd",
        "fd:3",
        "unix:/run/x",
        "exec:1;id",
        "tcp:10.0.0.2:4444",
        "exec:id:80",
      ],
      ...["me@10.0.0.2:80", "10.0.0.2/v1/vms?:80", "10.0.0.2#:80", "a b:80", "10.0.0.2:80/x", "-:x", ""],
    ])
      assert(!ok(bad), bad);
  });
});
