import { existsSync } from "node:fs";
import { join } from "node:path";
import { debianRelease, PrivateApt } from "./apt.ts";
import { cacheDir, cachedFolder } from "./cache.ts";
import { onPath, output, say } from "./exec.ts";

const FOLDER = "tcpdump-1";
const BINARY = "root/usr/bin/tcpdump";

/** tcpdump, for the test that reads what crosses the network: the system's, or the one in the cache; null: neither. */
export function tcpdump(): string | null {
  if (onPath("tcpdump")) return "tcpdump";
  const binary = join(cacheDir(), FOLDER, BINARY);
  return existsSync(binary) ? binary : null;
}

/** Fetches Debian's into the cache, unpacked there and not installed, where the system has none; does nothing on others. */
export async function fetchTcpdump(): Promise<void> {
  const release = await debianRelease();
  if (release === null || onPath("tcpdump")) return;
  await cachedFolder(FOLDER, async (temporary) => {
    say("downloading tcpdump into the cache (unpacked there, not installed)");
    const apt = await PrivateApt.open("tcpdump", { backports: false });
    try {
      await apt.unpackWithDependencies("tcpdump", release, join(temporary, "root"));
    } finally {
      await apt.close();
    }
    await output(join(temporary, BINARY), ["--version"]); // it must start before the folder gets its name
  });
}
