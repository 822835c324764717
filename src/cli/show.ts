/** Figures as people read them. null is "-": not known. */

export function bytes(value: number | null): string {
  return value === null ? "-" : scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
}

/** Bytes per second as bits per second, which is how links are sold. */
export function bitRate(bytesPerSec: number | null): string {
  return bytesPerSec === null ? "-" : scaled(bytesPerSec * 8, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]);
}

export function time(ms: number | null): string {
  if (ms === null) return "-";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
}

function scaled(value: number, step: number, units: readonly string[]): string {
  let power = 0;
  let rest = value;
  while (rest >= step && power < units.length - 1) {
    rest /= step;
    power += 1;
  }
  return `${power === 0 || rest >= 100 ? Math.round(rest) : rest.toFixed(1)} ${units[power]}`;
}

/** Columns as wide as their widest cell. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd();
  return [header, ...rows].map(line).join("\n");
}
