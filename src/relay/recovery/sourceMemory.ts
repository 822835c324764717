/**
 * The memory of a source guest that stands still, read out of its QEMU's process. Exact only while the guest does not run,
 * and nothing else writes its memory.
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { GodwitError } from "../../errors/mod.ts";

/** Which process, and where it has its blocks: src/qemu/guestMemory.ts finds out. Plain JSON. */
export interface MemoryMap {
  readonly pid: number;
  /** When it started: the same number may be another process's later. */
  readonly startTicks: number;
  readonly blocks: readonly {
    readonly name: string;
    readonly usedBytes: number;
    /** null: not known. */
    readonly address: number | null;
  }[];
}

/** Open from its making until `close`. */
export class SourceMemory {
  readonly #map: MemoryMap;
  readonly #file: number;
  #closed = false;

  /** @throws GodwitError GUEST_MEMORY_CLOSED when this process may not read that one, or it has ended */
  constructor(map: MemoryMap) {
    this.#map = map;
    try {
      this.#file = openSync(`/proc/${map.pid}/mem`, "r");
    } catch (cause) {
      throw this.#unreadable((cause as NodeJS.ErrnoException).code ?? String(cause), cause);
    }
    if (startTicksOf(map.pid) === map.startTicks) return;
    this.close();
    throw this.#unreadable("it has ended");
  }

  /**
   * Reads `into.length` bytes at `offset` of a block.
   * @throws GodwitError GUEST_MEMORY_CLOSED when the block is not known or its place is not, the range leaves it, or QEMU
   *   has ended
   */
  read(block: string, offset: number, into: Uint8Array): void {
    const known = this.#map.blocks.find(({ name }) => name === block);
    if (known === undefined) throw this.#unreadable(`it has no block ${block}`);
    if (known.address === null)
      throw this.#unreadable(`where it has its block ${block} cannot be told apart`);
    if (offset < 0 || offset + into.length > known.usedBytes)
      throw this.#unreadable(`${into.length} bytes at ${offset} are not in its block ${block}`);
    for (let done = 0; done < into.length; ) {
      const got = this.#readSome(into, done, known.address + offset + done);
      if (got === 0) throw this.#unreadable("it has ended");
      done += got;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#file);
  }

  #readSome(into: Uint8Array, at: number, address: number): number {
    try {
      return readSync(this.#file, into, at, into.length - at, address);
    } catch (cause) {
      throw this.#unreadable((cause as NodeJS.ErrnoException).code ?? String(cause), cause);
    }
  }

  #unreadable(reason: string, cause?: unknown): GodwitError {
    return new GodwitError("GUEST_MEMORY_CLOSED", { pid: this.#map.pid, reason }, { cause });
  }
}

/** Field 22 of /proc/PID/stat (proc(5)); undefined when there is no such process. */
function startTicksOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold spaces and parentheses itself: count from the last one.
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
  } catch {
    return undefined; // it has ended
  }
}
