import { Option } from "commander";
import type { RecoveryBody } from "../agent/mod.ts";
import { EXIT, GodwitError } from "../errors/mod.ts";
import type { Permission, QemuSeen } from "../migration/mod.ts";
import { type AgentAt, AgentClient } from "./client.ts";
import { agentCommand, example, jsonOption, note, print, printJson } from "./options.ts";
import { time } from "./show.ts";

type Action = "settle" | "resume" | "discard";

interface Flags extends AgentAt {
  json?: boolean;
  settle?: boolean;
  resumeHere?: boolean;
  discard?: boolean;
  otherHostIsFenced?: boolean;
}

/** Nothing is left to decide on. */
const SETTLED: ReadonlySet<string> = new Set(["completed", "aborted", "refused", "running", "discarded"]);

/** `godwit recover [ID|VM] [--settle | --resume-here | --discard] [--other-host-is-fenced]` */
export function recoverCommand() {
  const command = agentCommand(
    "recover",
    "migrations that did not settle: what is seen on both hosts, and settling them",
  )
    .argument("[which]", "ID of a migration, or a VM's name (default: all that are not settled)")
    .addOption(
      new Option("--settle", "do what the evidence of both hosts allows without a guess").conflicts([
        "resumeHere",
        "discard",
      ]),
    )
    .addOption(new Option("--resume-here", "run the guest on this host").conflicts("discard"))
    .option("--discard", "end what this host holds of the guest")
    .option(
      "--other-host-is-fenced",
      "the other host can run nothing any more: I have seen to it myself (it stands in the report)",
    )
    .addOption(jsonOption())
    .action(recover);
  return example(
    command,
    "godwit recover",
    "godwit recover web --settle",
    "godwit recover m-1a2b3c4d --resume-here --other-host-is-fenced",
  );
}

async function recover(which: string | undefined, flags: Flags): Promise<void> {
  const client = new AgentClient(flags);
  const action = actionOf(flags);
  if (action === null && which === undefined) return show(await client.get("/v1/recoveries"), flags);
  const found = await find(client, which);
  if (action === null) return show([found], flags);
  const order = { action, fenced: flags.otherHostIsFenced === true };
  const after = await client.post<RecoveryBody>(at(found.id), order);
  if (flags.json) printJson(after);
  else if (after.done === null) print(`${recoveryText(after)}\n  Nothing was done.`);
  else print(recoveryText(after));
  process.exitCode = SETTLED.has(after.phase) || after.done === "discard" ? EXIT.done : EXIT.inDoubt;
}

function show(found: readonly RecoveryBody[], { json }: Flags): void {
  if (json) for (const one of found) printJson(one);
  else if (found.length === 0) note("Every migration of this host is settled.");
  else print(found.map(recoveryText).join("\n\n"));
  if (found.some(({ phase }) => !SETTLED.has(phase))) process.exitCode = EXIT.inDoubt;
}

const at = (id: string) => `/v1/recoveries/${encodeURIComponent(id)}`;

/** By its ID, or the only one of a VM. Errors: MIGRATION_UNKNOWN, USAGE. */
async function find(client: AgentClient, which: string | undefined): Promise<RecoveryBody> {
  const all = await client.get<RecoveryBody[]>("/v1/recoveries");
  const found = all.filter(({ id, vm }) => which === undefined || id === which || vm === which);
  if (found.length === 1) return found[0]!;
  if (found.length === 0 && which !== undefined) return client.get(at(which));
  const problem =
    found.length === 0
      ? "Every migration of this host is settled"
      : `Give one of: ${found.map(({ id }) => id).join(", ")}`;
  throw new GodwitError("USAGE", { problem });
}

function actionOf({ settle, resumeHere, discard, otherHostIsFenced }: Flags): Action | null {
  if (settle) return "settle";
  if (resumeHere) return "resume";
  if (discard) return "discard";
  if (!otherHostIsFenced) return null;
  throw new GodwitError("USAGE", { problem: "--other-host-is-fenced goes with --resume-here or --discard" });
}

/** The evidence of both hosts, and what may be done. */
export function recoveryText(body: RecoveryBody, nowMs: number = Date.now()): string {
  const { id, vm, side, here, there, address, advice } = body;
  const other = side === "source" ? "target" : "source";
  const seen =
    "unseen" in there
      ? `not seen: ${there.unseen}`
      : `host ${there.host} at ${address}: ${phaseText(there, nowMs)}; ${qemuText(there.qemu)}`;
  const lines = [
    `${vm} (${id}): ${body.phase}`,
    `  ${side}, here   host ${here.host}: ${phaseText(here, nowMs)}; ${qemuText(here.qemu)}`,
    `  ${other}, there  ${seen}`,
    `  ${advice.why}`,
  ];
  const orders = [
    ...(advice.settle === null ? [] : ["--settle"]),
    ...orderOf("--resume-here", advice.resume),
    ...orderOf("--discard", advice.discard),
  ];
  if (!SETTLED.has(body.phase)) lines.push(`  Possible now: ${orders.join(", or ") || "nothing by order"}`);
  return lines.join("\n");
}

function orderOf(flag: string, permission: Permission): string[] {
  if (permission === "no") return [];
  return [permission === "yes" ? flag : `${flag} --other-host-is-fenced (once that is so)`];
}

function phaseText({ phase, since }: { phase: string | null; since: string | null }, nowMs: number): string {
  if (phase === null) return "knows nothing of this migration";
  return since === null ? phase : `${phase} for ${time(Math.max(0, nowMs - Date.parse(since)))}`;
}

function qemuText(qemu: QemuSeen | null): string {
  if (qemu === null) return "no QEMU of this VM";
  if (qemu.status === null) return "its QEMU does not answer";
  const migration = qemu.migration === null ? "" : `, its migration ${qemu.migration}`;
  return `its QEMU ${qemu.running ? "RUNS the guest" : "does not run the guest"} (${qemu.status}${migration})`;
}
