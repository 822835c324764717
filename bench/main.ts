/**
 * `npm run bench`: Godwit against QEMU's own ways of moving a guest. Every system gets the same guest, the same shaped
 * link and its turn in the same minutes; what comes out is a result (src/bench/result.ts) and a report beside it.
 *
 *   node bench/main.ts [--quick|--full|--cells A,B] ...   (see --help)
 */
import { constants } from "node:os";
import { join } from "node:path";
import { Sandbox } from "../lab/demo/sandbox.ts";
import { artefacts, type QemuArtefact } from "../lab/mod.ts";
import type { BenchResult } from "../src/bench/mod.ts";
import { EXIT, GodwitError, isGodwitError } from "../src/errors/mod.ts";
import { kvmVerdict } from "../src/qemu/mod.ts";
import { type BenchCell, CELLS, cellsNamed } from "./cells/mod.ts";
import { measureFloor } from "./floor/mod.ts";
import { openGodwitHome, openStockHome } from "./homes/mod.ts";
import { loadNamed } from "./loads/mod.ts";
import {
  type BenchOptions,
  benchOptions,
  keepPartial,
  keepResult,
  newest,
  runBench,
  sampleLine,
} from "./run/mod.ts";
import { openStage } from "./stage/mod.ts";
import { SYSTEMS, systemNamed } from "./systems/mod.ts";

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function main(options: BenchOptions): Promise<number> {
  const cells = chosenCells(options);
  const systems = options.systems?.map(systemNamed) ?? null;
  if (options.list) return list();
  const qemu = chosenQemu(options.qemu);

  const interrupted = new AbortController();
  let exitCode: number = EXIT.done;
  const interrupt = (code: number): void => {
    if (interrupted.signal.aborted) return; // cleaning up already
    exitCode = code;
    interrupted.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      say(`\n${signal}: cleaning up, and writing what was measured`);
      interrupt(128 + constants.signals[signal]);
    });
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => interrupt(EXIT.bug)); // its reader has gone

  const sandbox = new Sandbox("bench");
  process.env["TMPDIR"] = sandbox.dir; // whoever makes files here or in a child makes them in there
  const startedAtMs = performance.now();
  let result: BenchResult;
  try {
    const accel = (await kvmVerdict(qemu)).usable ? "kvm" : "tcg";
    say(
      `QEMU ${qemu.version} (${accel}), ${cells.length} cells, seed ${options.seed}, ${options.repeats} repeats`,
    );
    result = await runBench(
      {
        ...{ cells, systems, qemu, accel, known: SYSTEMS, signal: interrupted.signal },
        ...{ repeats: options.repeats, seed: options.seed, loopback: options.loopback, floor: options.floor },
        command: ["npm run bench --", ...withoutOut(process.argv.slice(2))].join(" "),
        onSample: (sample, done, of) => say(sampleLine(sample, done, of, performance.now() - startedAtMs)),
        onWord: say,
        onCell: (soFar) => keepPartial(soFar, options.out),
      },
      { openStage, loadNamed, measureFloor, openHome: { stock: openStockHome, godwit: openGodwitHome } },
    );
  } finally {
    const strays = await sandbox.close();
    delete process.env["TMPDIR"];
    if (strays.length > 0 && exitCode === EXIT.done) {
      say(
        `The bench left processes behind, which it should not: ${strays.map(({ command }) => command).join(", ")}`,
      );
      exitCode = EXIT.bug;
    }
  }
  await tell(result, options);
  return exitCode;
}

/** Where the result went is no part of how it was measured. */
function withoutOut(args: readonly string[]): string[] {
  return args.filter((arg, i) => !arg.startsWith("--out") && args[i - 1] !== "--out");
}

/** Keeps the result, makes the report beside it and prints what was asked for. */
async function tell(result: BenchResult, { out, json }: BenchOptions): Promise<void> {
  const name = keepResult(result, out);
  say(`\nresult: ${join(out, `${name}.json`)}`);
  // it brings a plotting library along, which nobody should wait for who has mistyped a name
  const { writeReport } = await import("./report/mod.ts");
  const { markdown, notes, html } = await writeReport(result, out, name);
  for (const note of notes) say(note);
  say(`report: ${html}`);
  await new Promise<void>((done) =>
    process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${markdown}\n`, () => done()),
  );
}

function chosenCells({ cells, full }: BenchOptions): readonly BenchCell[] {
  if (full) return CELLS.filter(({ group }) => group !== "quick");
  return cellsNamed(cells ?? ["quick"]);
}

function chosenQemu(version: string | null): QemuArtefact {
  const { qemus } = artefacts();
  const found = newest(qemus.filter((qemu) => qemu.version.startsWith(version ?? "")));
  if (found !== null) return found;
  const known = qemus.map((qemu) => qemu.version).join(", ");
  throw new GodwitError("USAGE", { problem: `there is no QEMU ${version} here; known are: ${known}` });
}

function list(): number {
  const lines = (title: string, all: readonly { readonly name: string; readonly about: string }[]) =>
    [title, ...all.map(({ name, about }) => `  ${name.padEnd(26)} ${about}`)].join("\n");
  const systems = SYSTEMS.map(({ name, alias, about }) => ({
    name: alias === undefined ? name : `${name} (${alias})`,
    about,
  }));
  process.stdout.write(`${lines("cells", CELLS)}\n\n${lines("systems", systems)}\n`);
  return EXIT.done;
}

async function guarded(options: BenchOptions): Promise<number> {
  try {
    return await main(options);
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    say(`${error.message}\n${error.wayOut}`);
    return error.exitCode;
  }
}

const options = benchOptions(process.argv.slice(2));
// What was given up in the middle may still wait for something: nobody waits for it any more.
process.exit(typeof options === "number" ? options : await guarded(options));
