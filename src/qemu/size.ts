/** Amounts of memory as a spec writes them. */

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

export const SIZE_FORMS = "a whole number with B, KiB, MiB, GiB or TiB, such as 512MiB";

/**
 * Bytes of a text like "512MiB", or null when it has none of the forms in SIZE_FORMS.
 * A unit is required: a bare number would be read as MiB by one person and as bytes by the next.
 */
export function parseSize(text: string): number | null {
  const match = /^(\d{1,12})(B|KiB|MiB|GiB|TiB)$/.exec(text);
  if (match === null) return null;
  const bytes = Number(match[1]) * UNITS[match[2]!]!;
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** The shortest exact form of an amount of bytes: 536870912 -> "512MiB". */
export function formatSize(bytes: number): string {
  for (const unit of ["TiB", "GiB", "MiB", "KiB"]) {
    const unitBytes = UNITS[unit]!;
    if (bytes >= unitBytes && bytes % unitBytes === 0) return `${bytes / unitBytes}${unit}`;
  }
  return `${bytes}B`;
}
