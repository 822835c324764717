import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const CHUNK_BYTES = 64 * 1024;

/**
 * Reads what is appended to a file, which may come into being only later. Once open it is read to its end even when it
 * has been removed; one that was cut off is read from its new beginning.
 */
export class LogTail {
  readonly #path: string;
  readonly #buffer = Buffer.alloc(CHUNK_BYTES);
  #fd: number | null = null;
  #offset = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** What came since the last call; empty when nothing did. */
  read(): string {
    this.#fd ??= openOrNull(this.#path);
    if (this.#fd === null) return "";
    if (fstatSync(this.#fd).size < this.#offset) this.#offset = 0;
    let text = "";
    for (;;) {
      const bytes = readSync(this.#fd, this.#buffer, 0, CHUNK_BYTES, this.#offset);
      this.#offset += bytes;
      text += this.#buffer.toString("latin1", 0, bytes);
      if (bytes < CHUNK_BYTES) return text;
    }
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}

function openOrNull(path: string): number | null {
  try {
    return openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null; // not yet
    throw error;
  }
}
