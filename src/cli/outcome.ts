import { EXIT, GodwitError } from "../errors/mod.ts";
import type { Report } from "../migration/mod.ts";
import { engineLines, switchoverLines } from "./engineText.ts";
import { bytes, time } from "./show.ts";

/** Exit code of a command that saw a migration to its end. */
export function exitOf(report: Report): number {
  switch (report.status) {
    case "completed":
      return EXIT.done;
    case "refused":
      return EXIT.refused;
    case "aborted":
      return EXIT.aborted;
    case "inDoubt":
      return EXIT.inDoubt;
    // The guest is not safe on the source: 4 would promise that.
    case "lost":
      return EXIT.inDoubt;
  }
}

/** A report for people. */
export function reportText(report: Report): string {
  const { vm, strategy, wireBytes, engine, balloon, switchover, error } = report;
  const lines = [
    `${vm ?? "the migration"} ${ENDINGS[report.status]} (${strategy ?? "unknown strategy"}, ${report.id})`,
  ];
  if (report.status === "completed") {
    const equal = report.equal === true ? "memory proven equal" : "memory NOT proven equal";
    const times = [`total ${time(report.totalTimeMs)}`, `downtime ${time(report.downtimeMs)}`];
    if (report.blackoutMs !== null) times.push(`blackout ${time(report.blackoutMs)}`);
    lines.push(`  ${times.join(", ")}; ${equal}`);
    lines.push(
      `  ${bytes(report.streamBytes)} from QEMU, ${bytes(wireBytes.forward)} on the wire, passes ${report.passes ?? "-"}`,
    );
    if (balloon) {
      const { beforeBytes, sizeBytes, tookMs } = balloon;
      lines.push(
        `  balloon: ${bytes(beforeBytes - sizeBytes)} taken from the guest in ${time(tookMs)}, given back`,
      );
    }
    if (engine !== null) lines.push(...engineLines(engine).map((line) => `  ${line}`));
  }
  if (switchover !== null) lines.push(...switchoverLines(switchover).map((line) => `  ${line}`));
  if (error !== null) {
    const known = GodwitError.fromWire(error);
    lines.push(`  ${known.message}`, `  ${known.wayOut}`);
  }
  return lines.join("\n");
}

const ENDINGS: Readonly<Record<Report["status"], string>> = {
  completed: "has moved",
  refused: "was not moved: refused before anything was done",
  aborted: "was not moved: it runs on the source",
  inDoubt: "is in doubt: only the target can tell where it runs; it stays stopped on the source",
  lost: "is lost: no side can run it any more",
};
