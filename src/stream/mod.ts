/** QEMU's migration stream and return path: reader and writer. Facts of the format: docs/stream.md. */
export { RULES, type StreamRule } from "./rules.ts";
export {
  type Barrier,
  type Element,
  PageKind,
  type RamBlock,
  type ReturnMessage,
  StreamFault,
  type StreamHandler,
  type Subsection,
} from "./types.ts";
