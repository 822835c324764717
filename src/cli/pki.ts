import { Command, InvalidArgumentError, Option } from "commander";
import { GodwitError } from "../errors/mod.ts";
import { FILES, isName, issue, KINDS, type Kind, makeAuthority, readFolder } from "../trust/mod.ts";
import { example, jsonOption, note, print, printJson } from "./options.ts";

const CA_DAYS = 3650;
const DAYS = 90;
const DAYS_MAX = 36_500;

/** `godwit pki init|issue|show`: certificates for hosts and people, without another tool. */
export function pkiCommand(): Command {
  return new Command("pki")
    .description("certificates for --tls: an authority of one's own, and who may speak to whom")
    .addCommand(initCommand())
    .addCommand(issueCommand())
    .addCommand(showCommand());
}

function initCommand(): Command {
  const command = new Command("init")
    .description("makes an authority; keep its folder where no agent runs")
    .argument("<folder>", "made if it is not there")
    .option("--name <name>", "what certificates say about who signed them", "Godwit authority")
    .addOption(daysOption(CA_DAYS))
    .action(async (folder: string, { name, days }: { name: string; days: number }) => {
      await makeAuthority({ folder, name, days });
      note(`${folder}: ${FILES.ca} goes to every host, ca-key.pem never leaves this folder`);
    });
  return example(command, "godwit pki init ./authority");
}

interface IssueFlags {
  readonly ca: string;
  readonly out: string;
  readonly days: number;
  readonly peers: readonly string[];
}

function issueCommand(): Command {
  const command = new Command("issue")
    .description("makes the --tls folder of a host or a person, or renews its certificate in place")
    .argument("<kind>", KINDS.join(", "), kindOf)
    .argument("<name>", "1 to 64 letters, digits, - _ or .", nameOf)
    .requiredOption("--ca <folder>", "the authority, as `godwit pki init` made it")
    .requiredOption("--out <folder>", "where ca.pem, cert.pem, key.pem and peers go; an old peers file stays")
    .addOption(daysOption(DAYS))
    .addOption(
      new Option(
        "--peers <names>",
        "hosts that it speaks to, separated by commas; *: every host of the authority",
      )
        .argParser(peersOf)
        .default(["*"], "*"),
    )
    .action(async (kind: Kind, name: string, { ca, out, days, peers }: IssueFlags) => {
      await issue({ authority: ca, identity: { kind, name }, folder: out, days, peers });
      note(`${out}: ${kind} ${name}, for ${days} days; copy it there by a way that nobody reads (scp)`);
    });
  return example(
    command,
    "godwit pki issue host alpha --ca ./authority --out ./alpha-tls",
    "godwit pki issue host beta --ca ./authority --out ./beta-tls --peers alpha,gamma",
    "godwit pki issue operator maria --ca ./authority --out ./maria-tls --days 30",
  );
}

function showCommand(): Command {
  const command = new Command("show")
    .description("what a --tls folder says, and whether it can be used")
    .argument("<folder>")
    .addOption(jsonOption())
    .action((folder: string, { json }: { json?: boolean }) => {
      const { identity, certificate, peers, authorities } = readFolder(folder);
      const shown = {
        ...identity,
        validFrom: certificate.validFromDate.toISOString(),
        validTo: certificate.validToDate.toISOString(),
        fingerprint: certificate.fingerprint256,
        peers: peers === null ? "*" : [...peers],
        authorities: authorities.map((ca) => ({
          subject: ca.subject.replaceAll("\n", ", "),
          validTo: ca.validToDate.toISOString(),
          signedIt: certificate.checkIssued(ca) && certificate.verify(ca.publicKey),
        })),
      };
      if (json) return printJson(shown);
      print(`${shown.kind} ${shown.name}, from ${shown.validFrom} to ${shown.validTo}`);
      print(`speaks to: ${peers === null ? "every host of these authorities" : shown.peers || "no host"}`);
      for (const ca of shown.authorities)
        print(`trusts: ${ca.subject}, to ${ca.validTo}${ca.signedIt ? "; it signed this certificate" : ""}`);
      print(`fingerprint: ${shown.fingerprint}`);
      const now = Date.now();
      const { validFromDate, validToDate } = certificate;
      if (now >= validFromDate.getTime() && now <= validToDate.getTime()) return;
      throw new GodwitError("TLS_FOLDER", { path: folder, problem: "cert.pem does not hold now" });
    });
  return example(command, "godwit pki show /etc/godwit/tls", "godwit pki show /etc/godwit/tls --json");
}

function daysOption(days: number): Option {
  return new Option("--days <n>", "how long it holds").argParser(daysOf).default(days);
}

function daysOf(text: string): number {
  const days = Number(text);
  if (!/^\d+$/.test(text) || days < 1 || days > DAYS_MAX)
    throw new InvalidArgumentError(`not a number of days from 1 to ${DAYS_MAX}`);
  return days;
}

function kindOf(text: string): Kind {
  const kind = KINDS.find((known) => known === text);
  if (kind === undefined) throw new InvalidArgumentError(`not ${KINDS.join(", ")}`);
  return kind;
}

function nameOf(text: string): string {
  if (!isName(text)) throw new InvalidArgumentError("1 to 64 letters, digits, - _ or .");
  return text;
}

function peersOf(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  const wrong = names.find((name) => name !== "*" && !isName(name));
  if (wrong !== undefined) throw new InvalidArgumentError(`"${wrong}" is no name of a host`);
  return names;
}
