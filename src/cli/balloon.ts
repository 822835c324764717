import { type Command, Option } from "commander";
import type { BalloonBody } from "../agent/mod.ts";
import { type AgentAt, AgentClient } from "./client.ts";
import { agentCommand, example, jsonOption, parsed, print, printJson } from "./options.ts";
import { bytes, table } from "./show.ts";
import { size } from "./units.ts";

interface Flags extends AgentAt {
  auto?: boolean;
  off?: boolean;
  to?: number;
  json?: boolean;
}

/** `godwit vm balloon NAME [--auto | --off | --to SIZE]` */
export function balloonCommand(): Command {
  const command = agentCommand(
    "balloon",
    "a VM's balloon: see how much memory its guest has, and change that",
  )
    .argument("<name>")
    .addOption(
      new Option(
        "--auto",
        "from now on take from the guest what it does not need, and give back at need",
      ).conflicts(["off", "to"]),
    )
    .addOption(new Option("--off", "give the guest all of its memory, and leave it alone").conflicts("to"))
    .addOption(
      new Option("--to <size>", "leave the guest so much, such as 256MiB, whatever it needs").argParser(
        parsed(size),
      ),
    )
    .addOption(jsonOption())
    .action(balloon);
  return example(
    command,
    "godwit vm balloon web",
    "godwit vm balloon web --auto",
    "godwit vm balloon web --to 256MiB",
  );
}

async function balloon(name: string, flags: Flags): Promise<void> {
  const client = new AgentClient(flags);
  const path = `/v1/vms/${encodeURIComponent(name)}/balloon`;
  const order = orderOf(flags);
  const body =
    order === null ? await client.get<BalloonBody>(path) : await client.post<BalloonBody>(path, order);
  if (flags.json) printJson(body);
  else print(table(["NAME", name], rows(body)));
}

function orderOf({ auto, off, to }: Flags): object | null {
  if (auto) return { mode: "auto" };
  if (to !== undefined) return { mode: "off", sizeBytes: to };
  return off ? { mode: "off" } : null;
}

function rows({ mode, ramBytes, sizeBytes, guest }: BalloonBody): string[][] {
  const rows = [
    ["memory", bytes(ramBytes)],
    ["of that the guest's", bytes(sizeBytes)],
    ["follows its need", mode === "auto" ? "yes" : "no"],
  ];
  if (guest === null) return [...rows, ["guest says", "nothing: it has no balloon driver, or stands still"]];
  const say = (what: string, value: number | null) => {
    if (value !== null) rows.push([what, bytes(value)]);
  };
  say("free", guest.freeBytes);
  say("available", guest.availableBytes);
  say("page cache", guest.cacheBytes);
  return rows;
}
