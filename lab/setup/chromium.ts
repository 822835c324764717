/** A browser without a window, for pictures of the bench's report and for the tests of its page. */
import { existsSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isGodwitError } from "../../src/errors/mod.ts";
import { debianRelease, PrivateApt } from "./apt.ts";
import { cacheDir, cachedFolder } from "./cache.ts";
import { onPath, output, say } from "./exec.ts";

const FOLDER = "chromium-1";
const WRAPPER = "chromium";
/** What systems call it that have one. */
const NAMES = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/** The browser's program: what set-up put into the cache, else the system's own; null when there is none. */
export function chromium(): string | null {
  const cached = join(cacheDir(), FOLDER, WRAPPER);
  if (existsSync(cached)) return cached;
  return NAMES.find(onPath) ?? null;
}

/**
 * Debian's browser with the fonts that it needs, unpacked in the cache and not installed. A system that has none and
 * cannot fetch it is told so, and is no failure: only pictures, and the tests that look at the page, need it.
 */
export async function fetchChromium(): Promise<void> {
  if (chromium() !== null) return;
  try {
    await cachedFolder(FOLDER, fill);
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    say(`no browser, and so no pictures of the bench's report: ${error.message}`);
  }
}

async function fill(folder: string): Promise<void> {
  say("downloading a headless Chromium into the cache (unpacked there, not installed)");
  const root = join(folder, "root");
  const apt = await PrivateApt.open("Chromium", { backports: false });
  try {
    const release = (await debianRelease())!; // PrivateApt opens on no other system
    await apt.unpackWithDependencies("chromium-headless-shell", release, root);
    await apt.unpack(["fonts-dejavu-core"], root);
  } finally {
    await apt.close();
  }
  await writeFile(join(folder, "fonts.conf"), FONTS);
  await writeFile(join(folder, WRAPPER), `${WRAPPER_LINES.join("\n")}\n`);
  await chmod(join(folder, WRAPPER), 0o755);
  await output(join(folder, WRAPPER), ["--version"]); // it must start before the folder gets its name
}

/** Only these fonts: the page is measured, and looks the same on every machine. */
const FONTS = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">root/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
`;

/** The unpacked program finds its own libraries only when told; `exec` keeps it one process. */
const WRAPPER_LINES = [
  "#!/bin/sh",
  'folder=$(dirname "$(readlink -f "$0")")',
  "libraries=$folder/root/usr/lib/x86_64-linux-gnu",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell that expands it
  "export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}",
  'export FONTCONFIG_FILE="$folder/fonts.conf"',
  'exec "$folder/root/usr/lib/chromium/chromium-headless-shell" "$@"',
];
