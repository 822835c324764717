/**
 * `npm run faults`: the matrix of real faults. Each case moves a real guest, puts one fault in, and looks what became of
 * the guest: who runs it, what its oracle and the API say, and whether its next migration works.
 *
 *   node lab/faults/main.ts [--only TEXT] [--group G] ...   (see --help)
 */
import { constants } from "node:os";
import { EXIT, GodwitError, isGodwitError } from "../../src/errors/mod.ts";
import { Sandbox } from "../demo/sandbox.ts";
import { artefacts, type QemuArtefact } from "../setup/mod.ts";
import { CASES } from "./list.ts";
import { type FaultsOptions, faultsOptions } from "./options.ts";
import { writeFaultsPage } from "./page.ts";
import { keepResult, resultOf } from "./result.ts";
import { runFaults } from "./run.ts";
import { rowLine, tablesOf } from "./table.ts";
import type { FaultCase, FaultRow } from "./types.ts";

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function main(options: FaultsOptions): Promise<number> {
  const cases = chosenCases(options);
  if (options.list) {
    const lines = cases.map((one) => `${numberOf(one)}  ${one.name}`);
    process.stdout.write(`${lines.join("\n")}\n`);
    return EXIT.done;
  }
  const qemus = chosenQemus(options.qemus);
  const interrupted = new AbortController();
  let exitCode: number = EXIT.done;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      if (interrupted.signal.aborted) return; // cleaning up already
      say(`\n${signal}: cleaning up`);
      exitCode = 128 + constants.signals[signal];
      interrupted.abort();
    });

  const sandbox = new Sandbox("faults");
  process.env["TMPDIR"] = sandbox.dir; // whoever makes files here or in a child makes them in there
  const command = ["npm run faults --", ...withoutJson(process.argv.slice(2))].join(" ");
  const rows: FaultRow[] = [];
  try {
    say(`${cases.length} cases on QEMU ${qemus.map(({ version }) => version).join(" and ")}`);
    await runFaults({
      ...{ cases, qemus, signal: interrupted.signal },
      onRow(row, done, of) {
        rows.push(row);
        say(rowLine(row, done, of));
        if (options.json !== null) keepResult(options.json, resultOf(command, rows));
      },
    });
  } finally {
    const strays = await sandbox.close();
    delete process.env["TMPDIR"];
    if (strays.length > 0 && exitCode === EXIT.done) {
      say(`Cases left processes behind: ${strays.map(({ command }) => command).join(", ")}`);
      exitCode = EXIT.bug;
    }
  }
  await new Promise<void>((done) => process.stdout.write(`${tablesOf(rows)}\n`, () => done()));
  const failed = rows.some(({ kept, seen }) => kept === false || seen === null);
  return exitCode === EXIT.done && failed ? EXIT.bug : exitCode;
}

/** Where the result went is no part of how it was made. */
function withoutJson(args: readonly string[]): string[] {
  return args.filter((arg, i) => !arg.startsWith("--json") && args[i - 1] !== "--json");
}

/** Of a case among all, from 1. */
function numberOf(one: FaultCase): string {
  return String(CASES.indexOf(one) + 1).padStart(3);
}

function isNamed(one: FaultCase, text: string): boolean {
  return /^\d+$/.test(text) ? text === numberOf(one).trim() : one.name.includes(text);
}

function chosenCases({ only, groups, system, slice }: FaultsOptions): FaultCase[] {
  const known = [...new Set(CASES.map(({ group }) => group))];
  const unknown = groups.find((group) => !known.includes(group));
  if (unknown !== undefined) throw usage(`there is no group ${unknown}; known are: ${known.join(", ")}`);
  const found = CASES.filter(
    (one) =>
      (only.length === 0 || only.some((text) => isNamed(one, text))) &&
      (groups.length === 0 || groups.includes(one.group)) &&
      (system === null || one.system === system) &&
      (!slice || one.slice === true),
  );
  if (found.length === 0) throw usage("no case has such a name (see --list)");
  return found;
}

function chosenQemus(versions: readonly string[]): QemuArtefact[] {
  const { qemus } = artefacts();
  if (versions.length === 0) return qemus.slice(-1);
  const found = qemus.filter(({ version }) => versions.some((v) => v === "all" || version.startsWith(v)));
  if (found.length > 0) return found;
  throw usage(`there is no such QEMU here; known are: ${qemus.map(({ version }) => version).join(", ")}`);
}

function usage(problem: string): GodwitError {
  return new GodwitError("USAGE", { problem });
}

async function guarded(options: FaultsOptions): Promise<number> {
  try {
    if (!options.page) return await main(options);
    writeFaultsPage();
    return EXIT.done;
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    say(`${error.message}\n${error.wayOut}`);
    return error.exitCode;
  }
}

const options = faultsOptions(process.argv.slice(2));
// What was given up in the middle may still wait for something: nobody waits for it any more.
process.exit(typeof options === "number" ? options : await guarded(options));
