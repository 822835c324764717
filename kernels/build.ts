/**
 * Compiles the kernels to kernels/build/kernels.wasm. Silent and quick when nothing has changed; safe to run twice at
 * the same time (the result is renamed into place). `node kernels/build.ts`, or `buildKernels()` from the set-up.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { CONSTANTS_AT } from "./layout.ts";
import { WASM_FILE } from "./mod.ts";

const HERE = import.meta.dirname;
const ASSEMBLY = join(HERE, "assembly");
const KEY_FILE = join(HERE, "build", "kernels.key");

const OPTIONS = [
  "-O3",
  "--enable",
  "simd",
  "--runtime",
  "stub",
  "--noAssert",
  "--importMemory",
  "--initialMemory",
  "1",
  "--memoryBase",
  String(CONSTANTS_AT),
];

/**
 * Brings the compiled kernels up to date with their sources.
 * @returns true when it compiled, false when nothing was to do
 * @throws Error with the compiler's own messages
 */
export async function buildKernels(): Promise<boolean> {
  const key = sourcesKey();
  if (key === builtKey()) return false;
  // Imported only now: the compiler takes most of a second to load.
  const { default: asc } = await import("assemblyscript/asc");
  let wasm: Uint8Array | undefined;
  const { error, stderr } = await asc.main(
    ["mod.ts", ...OPTIONS, "--outFile", "kernels.wasm", "--baseDir", ASSEMBLY],
    {
      writeFile: (_name: string, contents: Uint8Array | string) => {
        if (typeof contents !== "string") wasm = contents;
      },
    },
  );
  if (error || wasm === undefined)
    throw new Error(`the kernels do not compile:\n${stderr.toString()}`, { cause: error });
  mkdirSync(join(HERE, "build"), { recursive: true });
  place(WASM_FILE, wasm);
  place(KEY_FILE, key);
  return true;
}

/** What the result depends on: every source, the options, the compiler. */
function sourcesKey(): string {
  const compiler = createRequire(import.meta.url)("assemblyscript/package.json") as { version: string };
  const hash = createHash("sha256").update(JSON.stringify([compiler.version, OPTIONS]));
  const sources = readdirSync(ASSEMBLY)
    .filter((name) => name.endsWith(".ts"))
    .sort()
    .map((name) => join(ASSEMBLY, name));
  for (const file of [join(HERE, "layout.ts"), join(HERE, "ruleNumbers.ts"), ...sources]) {
    hash.update(`\0${relative(HERE, file)}\0`).update(readFileSync(file));
  }
  return hash.digest("hex");
}

/** The key of what lies there; undefined when a part is missing. */
function builtKey(): string | undefined {
  try {
    readFileSync(WASM_FILE);
    return readFileSync(KEY_FILE, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function place(file: string, contents: Uint8Array | string): void {
  const fresh = `${file}.${process.pid}.tmp`;
  writeFileSync(fresh, contents);
  renameSync(fresh, file);
}

if (import.meta.main && (await buildKernels())) console.log("kernels compiled");
