/** Operations that a load in the guest reports, on the watcher's clock. */
export interface Reported {
  readonly endedAtMs: number[];
  readonly latencyMs: number[];
}

/**
 * Reads a line that lab/guest/loads/report.h describes. An operation's end is the time at which its line came minus the
 * age that the guest gave it: so the ends are not all at the same moment, and the guest's clock, which stands still
 * during a blackout, does not matter.
 * @param atMs  when the line came
 * @returns null for any other line, and for one that lost a part
 */
export function parseReport(load: string, line: string, atMs: number): Reported | null {
  const [mark, name, guestMs, count, list, ...rest] = line.split(" ");
  if (mark !== "L" || name !== load || rest.length > 0) return null;
  if (!/^\d+$/.test(guestMs ?? "") || !/^(\d+\/\d+)(,\d+\/\d+)*$/.test(list ?? "")) return null;
  const pairs = list!.split(",").map((pair) => pair.split("/").map(Number) as [number, number]);
  if (pairs.length !== Number(count)) return null;
  return {
    endedAtMs: pairs.map(([ageUs]) => atMs - ageUs / 1000),
    latencyMs: pairs.map(([, latencyUs]) => latencyUs / 1000),
  };
}
