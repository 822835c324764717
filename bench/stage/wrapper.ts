import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { QemuArtefact } from "../../lab/mod.ts";
import type { QemuCommand } from "../../src/qemu/mod.ts";

/**
 * Makes QEMUs that start inside a namespace: scripts in `dir` that turn into QEMU by exec, so that pid, signals and
 * /proc are QEMU's own.
 * @param argv  puts a command into the namespace, and stays one process
 */
export function qemuWrapper(
  dir: string,
  argv: (command: readonly string[]) => string[],
): (qemu: QemuArtefact) => QemuCommand {
  return ({ binary, args, version }) => {
    const path = join(dir, `${version}-${basename(binary)}`);
    if (!existsSync(path)) {
      writeFileSync(path, `#!/bin/sh\nexec ${argv([binary]).map(quote).join(" ")} "$@"\n`);
      chmodSync(path, 0o755);
    }
    return { binary: path, args };
  };
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
