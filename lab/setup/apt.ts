import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GodwitError } from "../../src/errors/mod.ts";
import { onPath, output, say } from "./exec.ts";
import { type AptSource, debianSources, parseDeb822, parseOneLine } from "./sources.ts";

/**
 * apt with lists and archives of its own in a temporary folder: it needs no root and leaves the system's apt
 * configuration, lists and package state as they are. Only unpacks, never installs.
 */
export class PrivateApt {
  readonly #folder: string;
  readonly #options: readonly string[];

  private constructor(folder: string) {
    this.#folder = folder;
    this.#options = [
      `Dir::Etc::sourcelist=${folder}/debian.sources`,
      "Dir::Etc::sourceparts=-",
      `Dir::State::lists=${folder}/lists`,
      `Dir::Cache=${folder}/cache`,
      "Debug::NoLocking=1",
      "APT::Sandbox::User=",
      "Acquire::Retries=3",
      "Acquire::Languages=none",
    ].flatMap((option) => ["-o", option]);
  }

  /**
   * @param wanted  what the packages are for; named when this system cannot get them
   * @throws SETUP_NEEDS on a system without apt or whose sources are not Debian's
   */
  static async open(wanted: string, options: { readonly backports: boolean }): Promise<PrivateApt> {
    const refuse = (): never => {
      throw new GodwitError("SETUP_NEEDS", { what: wanted });
    };
    if (!onPath("apt-get") || !onPath("dpkg-deb")) return refuse();
    const release = await debianRelease();
    const sources = release && debianSources(await systemSources(), release, options);
    if (!sources) return refuse();
    const folder = await mkdtemp(join(tmpdir(), "godwit-apt-"));
    const apt = new PrivateApt(folder);
    try {
      await writeFile(join(folder, "debian.sources"), sources);
      await mkdir(join(folder, "lists", "partial"), { recursive: true });
      await mkdir(join(folder, "cache", "archives", "partial"), { recursive: true });
      await apt.#get("update");
    } catch (error) {
      await apt.close();
      throw error;
    }
    return apt;
  }

  /** The packages that `name` depends on directly. */
  async dependencies(name: string): Promise<string[]> {
    const text = await output("apt-cache", [...this.#options, "depends", "--important", name]);
    return [...text.matchAll(/Depends: (\S+)/g)].map((match) => match[1]!);
  }

  /** Downloads and unpacks just these packages. */
  async unpack(names: readonly string[], into: string): Promise<void> {
    const archives = join(this.#folder, "cache", "archives");
    await output("apt-get", [...this.#options, "-qq", "download", ...names], { cwd: archives });
    await this.#unpackArchives(into);
  }

  /** Downloads and unpacks a package and everything of its dependencies that this system does not have as new. */
  async unpackWithDependencies(name: string, suite: string, into: string): Promise<void> {
    await this.#get("install", "-y", "--download-only", "--no-install-recommends", "-t", suite, name);
    await this.#unpackArchives(into);
  }

  async #get(...args: string[]): Promise<void> {
    await output("apt-get", [...this.#options, "-qq", ...args]);
  }

  async #unpackArchives(into: string): Promise<void> {
    const archives = join(this.#folder, "cache", "archives");
    for (const file of (await readdir(archives)).filter((name) => name.endsWith(".deb"))) {
      await output("dpkg-deb", ["-x", join(archives, file), into]);
      await rm(join(archives, file));
    }
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Debian's codename, such as `bookworm`; null on any other system. */
export async function debianRelease(): Promise<string | null> {
  const text = await readFile("/etc/os-release", "utf8").catch(() => ""); // none: not Debian
  if (!/^ID=debian$/m.test(text)) return null;
  return /^VERSION_CODENAME=(\S+)$/m.exec(text)?.[1] ?? null;
}

async function systemSources(): Promise<AptSource[]> {
  const found: AptSource[] = [];
  const list = "/etc/apt/sources.list";
  const parts = "/etc/apt/sources.list.d";
  if (existsSync(list)) found.push(...parseOneLine(await readFile(list, "utf8")));
  for (const name of existsSync(parts) ? (await readdir(parts)).sort() : []) {
    const text = await readFile(join(parts, name), "utf8");
    if (name.endsWith(".sources")) found.push(...parseDeb822(text));
    else if (name.endsWith(".list")) found.push(...parseOneLine(text));
  }
  return found;
}

/**
 * Installs packages on this system, with sudo when not root, and says so before.
 * @throws SETUP_NEEDS without apt, or without root and sudo
 */
export async function installPackages(names: readonly string[], why: string): Promise<void> {
  const root = process.getuid?.() === 0;
  if (!onPath("apt-get") || (!root && !onPath("sudo")))
    throw new GodwitError("SETUP_NEEDS", { what: `${why} (on Debian: ${names.join(" ")})` });
  const get = async (...args: string[]): Promise<void> => {
    const command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", ...args];
    const [first, ...rest] = root ? command : ["sudo", ...command];
    await output(first!, rest);
  };
  const install = ["install", "-y", "--no-install-recommends", ...names];
  say(`installing ${names.join(" ")} on this system: ${why} (${root ? "" : "sudo "}apt-get install)`);
  await get(...install).catch(async () => {
    say("refreshing the package lists first (apt-get update)"); // absent or older than the mirror
    await get("update");
    await get(...install);
  });
}
