import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CpioEntry, CpioType } from "../guest/mod.ts";
import { librariesOf } from "./elf.ts";
import { compileStatic } from "./guest.ts";
import { COMPILE_UNITS, compileUnit } from "./loadUnits.ts";

const SOURCES = join(import.meta.dirname, "..", "guest", "loads");

interface Parts {
  /** Programs of the packages, by their paths there. They come with their libraries. */
  readonly packaged?: readonly string[];
  /** Our own programs: C sources beside the start scripts. */
  readonly compiled?: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
}

/** What a load's layer holds beside its start script and `lines`. */
const LAYERS: Readonly<Record<string, Parts>> = {
  redis: { packaged: ["usr/bin/redis-server"] },
  nginx: {
    packaged: ["usr/sbin/nginx"],
    compiled: ["files"],
    files: { "etc/passwd": "root:x:0:0:root:/:/bin/sh\n", "etc/group": "root:x:0:\n" },
  },
  sqlite: { compiled: ["tpcb"] },
  compile: { packaged: ["usr/bin/tcc"], compiled: ["repeat"], files: compileUnits() },
  "stress-ng": { packaged: ["usr/bin/stress-ng"], compiled: ["repeat"] },
  pagecache: {},
};

export const LAYER_NAMES: readonly string[] = Object.keys(LAYERS);

function compileUnits(): Record<string, string> {
  const units = Array.from({ length: COMPILE_UNITS }, (_, index) => index);
  return Object.fromEntries(units.map((index) => [`load/compile/unit${index}.c`, compileUnit(index)]));
}

/**
 * The files that the load `name` needs in the guest. Everything lies in /load/NAME, but for libraries in /lib and the
 * dynamic loader in /lib64, where programs look for them.
 * @param packages  where Debian's packages are unpacked
 */
export async function layerEntries(name: string, packages: string): Promise<CpioEntry[]> {
  const { packaged = [], compiled = [], files = {} } = LAYERS[name]!;
  const entries = new Map<string, CpioEntry>();
  const add = (path: string, content: Uint8Array | string, mode = 0o755): void => {
    const parents = path.split("/").slice(0, -1);
    for (let depth = 1; depth <= parents.length; depth++) {
      const folder = parents.slice(0, depth).join("/");
      if (!entries.has(folder)) entries.set(folder, { path: folder, mode: CpioType.folder | 0o755 });
    }
    entries.set(path, { path, mode: CpioType.file | mode, content: Buffer.from(content) });
  };
  entries.set("tmp", { path: "tmp", mode: CpioType.folder | 0o777 });
  add(`load/${name}/start`, await readFile(join(SOURCES, `${name}.sh`)));
  for (const source of ["lines", ...compiled])
    add(source === "lines" ? "load/lines" : `load/${name}/${source}`, await program(source, packages));
  for (const path of packaged) {
    const from = join(packages, path);
    add(`load/${name}/${path.split("/").at(-1)}`, await readFile(from));
    for (const [library, file] of await librariesOf(from, packages))
      add(`${library.startsWith("ld-linux") ? "lib64" : "lib"}/${library}`, await readFile(file));
  }
  for (const [path, content] of Object.entries(files)) add(path, content, 0o644);
  if (name === "nginx") add("load/nginx/nginx.conf", await readFile(join(SOURCES, "nginx.conf")), 0o644);
  return [...entries.values()];
}

/** One of our own programs, compiled; SQLite is linked into the one that uses it. */
async function program(source: string, packages: string): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), "godwit-load-"));
  try {
    const sqlite = [
      `-I${join(packages, "usr/include")}`,
      join(packages, "usr/lib/x86_64-linux-gnu/libsqlite3.a"),
      "-lm",
    ];
    const more = source === "tpcb" ? sqlite : [];
    await compileStatic([join(SOURCES, `${source}.c`), ...more], join(folder, source));
    return await readFile(join(folder, source));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
