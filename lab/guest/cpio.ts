/**
 * Writes a "newc" cpio archive, the format of a Linux initramfs
 * (Linux: Documentation/driver-api/early-userspace/buffer-format.rst).
 * Goals: one pass, the same bytes for the same input. Non-goals: hard links, times, owners.
 */

export interface CpioEntry {
  /** Path without a leading slash. Parents must come before their children. */
  readonly path: string;
  /** File type and permissions as in `st_mode`. */
  readonly mode: number;
  readonly content?: Uint8Array;
  /** Character device numbers, for `CpioType.charDevice` only. */
  readonly device?: { readonly major: number; readonly minor: number };
}

/** File type bits of `st_mode`. */
export const CpioType = { folder: 0o040000, file: 0o100000, charDevice: 0o020000 } as const;

const HEADER_BYTES = 110;

/** The archive of `entries` in the given order, closed by its trailer and padded to 512 bytes. */
export function cpioArchive(entries: readonly CpioEntry[]): Uint8Array {
  const trailer: CpioEntry = { path: "TRAILER!!!", mode: 0 };
  const parts = [...entries, trailer].flatMap((entry, index) => encode(entry, index + 1));
  const archive = Buffer.concat(parts);
  return Buffer.concat([archive, padding(archive.length, 512)]);
}

function encode(entry: CpioEntry, inode: number): Uint8Array[] {
  const name = Buffer.from(`${entry.path}\0`);
  const content = entry.content ?? new Uint8Array(0);
  const device = entry.device ?? { major: 0, minor: 0 };
  const fields = [
    entry.path === "TRAILER!!!" ? 0 : inode,
    entry.mode,
    0, // owner
    0, // group
    1, // links
    0, // time: the same input gives the same archive
    content.length,
    0, // device of the file system
    0,
    device.major,
    device.minor,
    name.length,
    0, // checksum, unused in newc
  ];
  const header = Buffer.from(`070701${fields.map((f) => f.toString(16).padStart(8, "0")).join("")}`);
  return [header, name, padding(HEADER_BYTES + name.length, 4), content, padding(content.length, 4)];
}

function padding(length: number, to: number): Uint8Array {
  return new Uint8Array((to - (length % to)) % to);
}
