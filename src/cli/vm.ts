import { readFileSync } from "node:fs";
import { Command } from "commander";
import type { VmBody } from "../agent/mod.ts";
import { GodwitError } from "../errors/mod.ts";
import { balloonCommand } from "./balloon.ts";
import { type AgentAt, AgentClient } from "./client.ts";
import { agentCommand, example, jsonOption, note, print, printJson } from "./options.ts";
import { table, time } from "./show.ts";

interface Flags extends AgentAt {
  json?: boolean;
}

/** `godwit vm start|list|show|stop|adopt|balloon` */
export function vmCommand(): Command {
  return new Command("vm")
    .description("the VMs of this host")
    .addCommand(startCommand())
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(stopCommand())
    .addCommand(adoptCommand())
    .addCommand(balloonCommand());
}

function startCommand(): Command {
  const command = agentCommand("start", "start a VM from a spec file (JSON; - reads stdin)")
    .argument("<spec>", "path of the spec")
    .addOption(jsonOption())
    .action(async (path: string, flags: Flags) => {
      const vm = await new AgentClient(flags).post<VmBody>("/v1/vms", readSpec(path));
      if (flags.json) return printJson(vm);
      note(
        `${vm.name} runs: QEMU ${vm.qemuVersion}, ${vm.spec["machine"]}, ${vm.spec["accel"]}, process ${vm.pid}`,
      );
    });
  command.addHelpText(
    "after",
    `
Fields of a spec: name, memory ("512MiB"), cpus, machine, cpu, accel (auto, kvm, tcg), kernel, initrd, append,
disks [{path, format, readOnly}], nics [{type: "user"} or {type: "tap", ifname}], serial,
balloon (true or {hints, reporting, deflateOnOom}), memfd, heartbeat, qemu {binary, args}. Only name and memory are required.`,
  );
  return example(
    command,
    `echo '{"name": "web", "memory": "512MiB"}' | godwit vm start -`,
    "godwit vm start web.json",
  );
}

function listCommand(): Command {
  const command = agentCommand("list", "all VMs of this host")
    .addOption(jsonOption())
    .action(async (flags: Flags) => {
      const vms = await new AgentClient(flags).get<VmBody[]>("/v1/vms");
      if (flags.json) return printJson(vms);
      const rows = vms.map((vm) => [
        ...[
          vm.name,
          vm.incoming ? "incoming" : vm.status,
          String(vm.spec["memory"]),
          String(vm.spec["cpus"]),
        ],
        ...[vm.qemuVersion, vm.busyWith ?? "-"],
      ]);
      print(table(["NAME", "STATUS", "MEMORY", "CPUS", "QEMU", "BUSY WITH"], rows));
    });
  return example(command, "godwit vm list", "godwit vm list --json");
}

function showCommand(): Command {
  const command = agentCommand("show", "one VM: its machine, its state, what its console said last")
    .argument("<name>")
    .addOption(jsonOption())
    .action(async (name: string, flags: Flags) => {
      const vm = await new AgentClient(flags).get<VmBody>(`/v1/vms/${encodeURIComponent(name)}`);
      if (flags.json) return printJson(vm);
      print(table(["NAME", vm.name], showRows(vm)));
    });
  return example(command, "godwit vm show web");
}

function showRows(vm: VmBody): string[][] {
  const { spec, heartbeat, oracle } = vm;
  const rows = [
    ["status", vm.status],
    ["process", String(vm.pid ?? "-")],
    ["QEMU", vm.qemuVersion],
    ["machine", `${spec["machine"]}, ${spec["cpus"]} x ${spec["cpu"]}, ${spec["memory"]}, ${spec["accel"]}`],
    ["folder", vm.dir],
  ];
  if (vm.busyWith !== null) rows.push(["busy with", vm.busyWith]);
  if (heartbeat !== null && heartbeat.beats > 0)
    rows.push([
      "heartbeat",
      `${heartbeat.lastSeq}, ${time(heartbeat.lastAgoMs)} ago (${heartbeat.beats} seen here)`,
    ]);
  if (oracle !== null && oracle.verified + oracle.corrupt > 0)
    rows.push([
      "oracle",
      `V ${oracle.lastVerified} OK (${oracle.verified} seen here), ${oracle.corrupt} corrupt`,
    ]);
  if (oracle?.lastCorrupt) rows.push(["corrupt", oracle.lastCorrupt]);
  return rows;
}

function stopCommand(): Command {
  const command = agentCommand("stop", "end a VM at once, as if its power were cut")
    .argument("<name>")
    .action(async (name: string, flags: Flags) => {
      await new AgentClient(flags).delete(`/v1/vms/${encodeURIComponent(name)}`);
      note(`${name} has ended`);
    });
  return example(command, "godwit vm stop web");
}

function adoptCommand(): Command {
  const command = agentCommand("adopt", "take over a running QEMU by its QMP socket")
    .requiredOption("--qmp <path>", "its QMP socket; nobody else may be connected to it")
    .option("--oob <path>", "a second QMP socket of it, for emergencies")
    .option("--name <name>", "its name here (default: QEMU's -name)")
    .option("--spec <path>", "JSON with what QMP cannot tell: kernel, disks, nics")
    .addOption(jsonOption())
    .action(async (flags: Flags & { qmp: string; oob?: string; name?: string; spec?: string }) => {
      const { qmp, oob, name } = flags;
      const spec = flags.spec === undefined ? undefined : readSpec(flags.spec);
      const vm = await new AgentClient(flags).post<VmBody>("/v1/vms/adopt", { qmp, oob, name, spec });
      if (flags.json) return printJson(vm);
      note(
        `${vm.name} is taken over: QEMU ${vm.qemuVersion}, ${vm.spec["machine"]}, process ${vm.pid ?? "unknown"}`,
      );
    });
  return example(command, "godwit vm adopt --qmp /run/vm/web.qmp --name web");
}

function readSpec(path: string): object {
  const usage = (problem: string, cause: unknown) => new GodwitError("USAGE", { problem }, { cause });
  let text: string;
  try {
    text = readFileSync(path === "-" ? 0 : path, "utf8");
  } catch (error) {
    throw usage(`The spec cannot be read: ${(error as Error).message}`, error);
  }
  try {
    return JSON.parse(text) as object;
  } catch (error) {
    throw usage(`The spec ${path} is not JSON: ${(error as Error).message}`, error);
  }
}
