/**
 * `npm run soak`: one guest moves back and forth between two agents, by the seed each time in another manner and with
 * another fault, judged by its own oracle; and the agents must not grow. Nothing is left behind, also on Ctrl-C.
 *
 *   node lab/soak/main.ts [--moves N] [--seed N] [--qemu VERSION] [--json FILE] ...   (see --help)
 */
import { writeFileSync } from "node:fs";
import { constants, cpus } from "node:os";
import { join } from "node:path";
import { checkout } from "../../bench/run/machine.ts";
import { Sandbox } from "../demo/sandbox.ts";
import { isFinding } from "./move.ts";
import { type SoakOptions, soakOptions } from "./options.ts";
import { type SoakResult, summaryOf } from "./result.ts";
import { Soak } from "./soak.ts";
import { planText, summaryText } from "./text.ts";

const METER = join(import.meta.dirname, "meter.ts");

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function main(options: SoakOptions): Promise<number> {
  const interrupted = new AbortController();
  let interruptedBy: NodeJS.Signals | null = null;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(name, () => {
      interruptedBy ??= name;
      interrupted.abort();
    });
  process.stdout.on("error", () => interrupted.abort()); // its reader has gone (head, less)

  const sandbox = new Sandbox("soak"); // its name for processes, GODWIT_SOAK, is what tells the meter its folder
  process.env["NODE_OPTIONS"] = `${process.env["NODE_OPTIONS"] ?? ""} --import=${METER}`.trim();
  const { qemu } = options;
  const soak = new Soak({ options, qemu, sandbox, signal: interrupted.signal, say });
  const startedAt = new Date().toISOString();
  let failure: SoakResult["failure"] = null;
  let left = 0;
  try {
    try {
      await soak.run();
      await soak.end();
    } catch (error) {
      if (interrupted.signal.aborted) {
        // told below
      } else if (isFinding(error)) {
        failure = { number: soak.plan?.number ?? 0, what: error.message };
        if (soak.plan !== null) say(`move ${soak.plan.number}: ${planText(soak.plan)}`);
        say(`${error.message}\n${soak.warnings}`);
      } else throw error;
    }
  } finally {
    left = (await sandbox.close()).length;
  }
  const { rows, samples } = soak;
  const { moves, seed, first, memoryMib, setMib } = options;
  const [processor] = cpus();
  const result: SoakResult = {
    kind: "godwit soak",
    ...{ startedAt, tookMs: Date.now() - Date.parse(startedAt), ...checkout() },
    machine: { processor: processor?.model.trim() ?? "unknown", cores: cpus().length, node: process.version },
    ...{ qemu: qemu.version, seed, first, moves, guest: { memoryMib, setMib }, rows, samples, failure },
    summary: summaryOf(rows, samples),
  };
  say(`\n${summaryText(result)}`);
  if (options.json !== null) writeFileSync(options.json, `${JSON.stringify(result, null, 1)}\n`);
  if (interrupted.signal.aborted) say(`  ended early: ${interruptedBy ?? "nobody reads what it says"}`);
  if (interruptedBy !== null) return 128 + constants.signals[interruptedBy as NodeJS.Signals];
  if (interrupted.signal.aborted || failure !== null) return 1;
  if (left > 0) {
    say(`  ${left} processes were left behind by the agents, which they should not; they are ended now`);
    return 1;
  }
  const { trends } = result.summary;
  return trends !== null && Object.values(trends).some(({ flat }) => !flat) ? 1 : 0;
}

const options = soakOptions(process.argv.slice(2));
process.exitCode = typeof options === "number" ? options : await main(options);
