/** The device state of the modelled machine: the same in each migration, so that a target knows all of it by its length. */
import { concat, encodeEof, encodeSectionFull, footer } from "../../src/stream/mod.ts";

const STATE = Uint8Array.from({ length: 300 }, (_, at) => (at * 7) & 0xff);
const FULL = concat([encodeSectionFull({ id: 9, name: "cpu", instance: 0, version: 1 }), STATE, footer(9)]);

/** Behind the END of pre-copy. */
export const DEVICE_TAIL = concat([FULL, encodeEof()]);
/** What PACKAGED carries; QEMU's own nested stream has more in it, which nobody on the way looks at. */
export const PACKAGE = concat([
  Uint8Array.of(8, 0, 4, 0, 0),
  FULL,
  Uint8Array.of(8, 0, 2, 0, 4, 0, 0, 0, 3),
  Uint8Array.of(8, 0, 5, 0, 0),
]);
export const SECTION_ID = 2;
export const MACHINE = "pc-i440fx-7.2";
