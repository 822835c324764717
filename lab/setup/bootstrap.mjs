/**
 * The first step of `npm run setup|demo|test`: runs on any Node >= 18 with nothing installed, brings the npm
 * dependencies (Node 26 among them) in line with the lockfile, and hands over to main.ts under Node 26.
 *
 *   node lab/setup/bootstrap.mjs [--tests] [--quiet]
 *
 * Everything goes to stderr: the standard output of the demo is data. When nothing is to do it needs no network.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const NODE = join(ROOT, "node_modules", ".bin", "node");
const EXIT_REFUSED = 3; // as in src/errors; nothing of it can be imported yet

if (!dependenciesMatchLockfile()) {
  console.error("set-up: installing npm dependencies into node_modules, Node 26 among them (npm ci)");
  const quietly = ["--no-audit", "--no-fund", "--loglevel=error"];
  if (!attempt("npm", ["ci", ...quietly])) {
    // npm ci refuses a lockfile that lacks packages of other platforms, which a mirror may not carry
    console.error("set-up: npm ci refused; once more by npm install, with the lockfile's versions");
    if (!attempt("npm", ["install", "--no-save", ...quietly])) fail("npm could not install the dependencies");
  }
}
if (lacksLibatomic()) installLibatomic();
if (!nodeWorks()) {
  // npm was told to run no install scripts; this one script unpacks the binary
  console.error("set-up: unpacking Node 26 (npm rebuild node)");
  attempt("npm", ["rebuild", "node", "--ignore-scripts=false", "--loglevel=error"]);
  if (!nodeWorks()) fail(`${NODE} does not start; remove node_modules and run npm ci`);
}
const main = [join(ROOT, "lab", "setup", "main.ts"), ...process.argv.slice(2)];
process.exit(spawnSync(NODE, main, { cwd: ROOT, stdio: ["ignore", 2, 2] }).status ?? 1);

/**
 * Compares with npm's own record of what it installed, which it writes last: so a broken install, an older one and
 * a lockfile changed by `git checkout` are all seen, whatever the file times say.
 */
function dependenciesMatchLockfile() {
  const record = join(ROOT, "node_modules", ".package-lock.json");
  if (!existsSync(record)) return false;
  const wanted = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")).packages;
  const installed = JSON.parse(readFileSync(record, "utf8")).packages;
  return Object.entries(wanted).every(
    ([path, entry]) => path === "" || entry.optional || installed[path]?.version === entry.version,
  );
}

function nodeWorks() {
  const { status, stdout } = spawnSync(NODE, ["--version"], { encoding: "utf8" });
  return status === 0 && Number(stdout.slice(1).split(".")[0]) >= 24;
}

/** Node's own builds need this library, which a minimal Debian does not have. */
function lacksLibatomic() {
  return /libatomic\.so\.1/.test(spawnSync(NODE, ["--version"], { encoding: "utf8" }).stderr ?? "");
}

function installLibatomic() {
  const sudo = process.getuid?.() === 0 ? [] : ["sudo"];
  const apt = (...args) => attempt([...sudo, "apt-get"][0], [...sudo, "apt-get"].slice(1).concat(args));
  if (spawnSync("apt-get", ["--version"]).error)
    fail("Node 26 needs libatomic.so.1: remove node_modules, install libatomic1 and try again");
  console.error(
    `set-up: installing libatomic1, which Node 26 needs (${[...sudo, "apt-get"].join(" ")} install)`,
  );
  const install = () => apt("install", "-y", "-qq", "--no-install-recommends", "libatomic1");
  if (!install() && !(apt("update", "-qq") && install()))
    fail("libatomic1 could not be installed; remove node_modules before you try again");
}

function attempt(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: ["ignore", 2, 2] });
  if (error) fail(`${command} cannot be started: ${error.message}`);
  return status === 0;
}

function fail(reason) {
  console.error(`set-up: ${reason}`);
  process.exit(EXIT_REFUSED);
}
