/** The CONFIGURATION element: machine name and subsections. */
import { Cursor, copyOf } from "./bytes.ts";
import { CAPABILITIES_MAX, ElementType, SUBSECTIONS_MAX } from "./format.ts";
import { StreamFault, type Subsection } from "./types.ts";

const CAPABILITIES = "configuration/capabilities";
const PAGE_BITS = "configuration/target-page-bits";
const UUID = "configuration/uuid";

export interface Configuration {
  readonly machine: string;
  readonly subsections: readonly Subsection[];
  /** Where the element ends in the buffer. */
  readonly end: number;
  /** The block list then has a guest physical address per block. */
  readonly ignoreShared: boolean;
}

/**
 * @param at  the element's type byte
 * @returns undefined when more bytes are needed (one byte behind the element too: a subsection could follow), or
 *   "unknown" at a subsection whose length we cannot know
 * @throws StreamFault
 */
export function readConfiguration(
  buffer: Uint8Array,
  at: number,
  end: number,
  base: number,
): Configuration | "unknown" | undefined {
  const c = new Cursor(buffer, at + 1, end);
  const machineBytes = c.u32();
  if (c.short) return undefined;
  if (machineBytes < 1 || machineBytes > 255) throw new StreamFault("configuration_length", base + at);
  const machine = c.text(machineBytes);
  const subsections: Subsection[] = [];
  let ignoreShared = false;
  while (c.peek() === ElementType.subsection) {
    const where = base + c.at;
    if (subsections.length === SUBSECTIONS_MAX) throw new StreamFault("configuration_subsection", where);
    c.u8();
    const name = c.name();
    const version = c.u32();
    const dataStart = c.at;
    if (c.short) return undefined;
    if (name !== CAPABILITIES && name !== PAGE_BITS && name !== UUID) return "unknown";
    if (version !== 1) throw new StreamFault("configuration_subsection", where);
    if (name === CAPABILITIES) {
      for (const capability of readCapabilities(c, where)) {
        if (capability === "mapped-ram") throw new StreamFault("mapped_ram_unsupported", where);
        if (capability === "x-ignore-shared") ignoreShared = true;
      }
    } else if (name === PAGE_BITS) {
      const bits = c.u32();
      if (!c.short && bits !== 12) throw new StreamFault("page_bits", where);
    } else {
      c.take(16);
    }
    if (c.short) return undefined;
    subsections.push({ name, version, data: copyOf(buffer, dataStart, c.at) });
  }
  return c.short ? undefined : { machine, subsections, end: c.at, ignoreShared };
}

function readCapabilities(c: Cursor, where: number): string[] {
  const count = c.u32();
  if (count > CAPABILITIES_MAX) throw new StreamFault("configuration_subsection", where);
  const names: string[] = [];
  while (names.length < count && !c.short) names.push(c.name());
  return names;
}
