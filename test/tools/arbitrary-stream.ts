/** Generated streams of every mode, built with the module's own writers. For properties. */
import fc from "fast-check";
import {
  Command,
  concat,
  encodeAdvise,
  encodeBlockList,
  encodeCommand,
  encodeConfiguration,
  encodeDiscard,
  encodeEof,
  encodeEos,
  encodeHeader,
  encodePackaged,
  encodePing,
  encodeRecord,
  encodeSectionFull,
  encodeSectionStart,
  endHeader,
  footer,
  PageKind,
  partHeader,
  partTrailer,
  type RamBlock,
} from "../../src/stream/mod.ts";

interface Page {
  readonly block: number;
  readonly page: number;
  readonly kind: PageKind;
  readonly fill: number;
}

const kind = fc.constantFrom(PageKind.zero, PageKind.page, PageKind.xbzrle, PageKind.compressed);
const page: fc.Arbitrary<Page> = fc.record({
  block: fc.nat(2),
  page: fc.nat(7),
  kind,
  fill: fc.nat(255),
});
const section = fc.array(page, { maxLength: 6 });
const model = fc.record({
  mode: fc.constantFrom("precopy", "postcopy", "snapshot"),
  sectionId: fc.nat(0xffff_ffff),
  machine: fc.stringMatching(/^[a-z0-9.-]{1,20}$/),
  uuid: fc.option(fc.uint8Array({ minLength: 16, maxLength: 16 })),
  names: fc.uniqueArray(fc.stringMatching(/^[!-~]{1,12}$/), { minLength: 3, maxLength: 3 }),
  pagesOf: fc.tuple(
    fc.integer({ min: 1, max: 8 }),
    fc.integer({ min: 1, max: 8 }),
    fc.integer({ min: 1, max: 8 }),
  ),
  parts: fc.array(section, { minLength: 1, maxLength: 4 }),
  late: fc.array(section, { maxLength: 2 }),
  end: section,
  opaque: fc.uint8Array({ minLength: 1, maxLength: 40 }),
});
type Model = typeof model extends fc.Arbitrary<infer T> ? T : never;

export interface GeneratedStream {
  readonly bytes: Uint8Array;
  readonly blocks: readonly RamBlock[];
  /** How many pages are in it. */
  readonly pages: number;
}

export const anyStream: fc.Arbitrary<GeneratedStream> = model.map(build);

function build(m: Model): GeneratedStream {
  const blocks = m.names.map((name, index) => ({ index, name, bytes: 4096 * m.pagesOf[index]! }));
  const id = m.sectionId;
  const postcopy = m.mode === "postcopy";
  let previous: RamBlock | undefined;
  let pages = 0;
  const records = (section: readonly Page[], onlyWhole: boolean) =>
    concat(
      section.map((p) => {
        const block = blocks[p.block]!;
        const whole = p.kind === PageKind.zero || p.kind === PageKind.page;
        const kind = onlyWhole && !whole ? PageKind.page : p.kind;
        const head = { block, offset: 4096 * (p.page % m.pagesOf[p.block]!), kind, previous };
        previous = block;
        pages++;
        return encodeRecord(head, bodyOf(kind, p.fill));
      }),
    );
  const part = (section: readonly Page[], onlyWhole = false) =>
    concat([partHeader(id), records(section, onlyWhole), partTrailer(id)]);

  const uuid = m.uuid && [{ name: "configuration/uuid", version: 1, data: m.uuid }];
  const pieces = [encodeHeader(), encodeConfiguration(m.machine, uuid ?? [])];
  if (m.mode !== "snapshot") pieces.push(encodeCommand(Command.openReturnPath), encodePing(1));
  if (postcopy) pieces.push(encodeAdvise());
  const start = encodeSectionStart({ id, name: "ram", instance: 0, version: 4 });
  pieces.push(start, encodeBlockList(blocks), encodeEos(), footer(id), ...m.parts.map((s) => part(s)));
  const device = concat([encodeSectionFull({ id: 7, name: "dev", instance: 0, version: 1 }), m.opaque]);
  if (postcopy) {
    pieces.push(encodeDiscard(blocks[0]!.name, [{ offset: 0, bytes: 4096 }]), encodePing(2));
    pieces.push(encodePackaged(m.opaque.length), m.opaque, encodePing(4));
    previous = undefined;
    pieces.push(...m.late.map((s) => part(s, true)));
  }
  if (m.mode !== "snapshot") pieces.push(endHeader(id), records(m.end, postcopy), partTrailer(id));
  pieces.push(postcopy ? encodeEof() : device);
  return { bytes: concat(pieces), blocks, pages };
}

function bodyOf(kind: PageKind, fill: number): Uint8Array {
  if (kind === PageKind.zero) return Uint8Array.of(0);
  if (kind === PageKind.page) return new Uint8Array(4096).fill(fill);
  if (kind === PageKind.xbzrle) return Uint8Array.of(fill & 0x7f, 2, fill, fill);
  return new Uint8Array(1 + fill).fill(fill);
}
