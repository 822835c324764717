import type { EngineName, PageForm, PolicyName } from "./engines.ts";

/** What became of page versions in one engine; counters only grow. Versions carried as QEMU's records are `passed`. */
export interface EngineFigures {
  readonly name: EngineName;
  readonly policy: PolicyName;
  /** The page store's limit that both sides agreed on. */
  readonly cacheBytes: number;
  /** Versions that crossed and the bytes of their entries before packing, by form. */
  readonly forms: { readonly [F in PageForm]: { readonly pages: number; readonly bytes: number } };
  /** Batches that zstd packed: entries in, frames out. */
  readonly packed: { readonly batches: number; readonly unpackedBytes: number; readonly bytes: number };
  /** Versions equal to what the target had: nothing crossed. */
  readonly unchanged: number;
  /** Versions that a newer one replaced while they were held back: nothing crossed. */
  readonly superseded: number;
  /** Versions carried as QEMU wrote them, because the engine stepped aside or could not read them. */
  readonly passed: number;
  /** Pages that the target lacked a base for and that were sent again. */
  readonly repaired: number;
  /** CPU time by stage, ms; packing is measured as the time its threads were busy. null: not known on this side. */
  readonly stageMs: {
    readonly encode: number | null;
    readonly pack: number | null;
    readonly unpack: number | null;
    readonly decode: number | null;
  };
  /** zstd level in use; 0: entries leave unpacked; -1: the engine stands aside. */
  readonly effort: number;
}
