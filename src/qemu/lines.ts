import { assert } from "./assert.ts";

const NEWLINE = 0x0a;

/**
 * Cuts bytes into lines, holding at most `lineBytesMax` of an unfinished one.
 * What is sent to us is not trusted: a line without an end must not grow our memory.
 */
export class LineSplitter {
  readonly #lineBytesMax: number;
  readonly #parts: Buffer[] = [];
  #heldBytes = 0;
  #skipping = false;
  #tooLong = 0;

  constructor(lineBytesMax: number) {
    assert(lineBytesMax > 0, "a line may have at least one byte");
    this.#lineBytesMax = lineBytesMax;
  }

  /** How many lines were longer than the limit; they are left out of what `push` gives. */
  get tooLong(): number {
    return this.#tooLong;
  }

  /** The lines that this chunk completes, without their "\n" or "\r\n". */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      if (end < 0) break;
      this.#hold(chunk.subarray(start, end));
      if (this.#skipping) this.#skipping = false;
      else lines.push(this.#take());
      start = end + 1;
    }
    this.#hold(chunk.subarray(start));
    return lines;
  }

  #hold(part: Buffer): void {
    if (this.#skipping || part.length === 0) return;
    if (this.#heldBytes + part.length > this.#lineBytesMax) {
      this.#skipping = true;
      this.#tooLong += 1;
      this.#parts.length = 0;
      this.#heldBytes = 0;
      return;
    }
    this.#parts.push(Buffer.from(part));
    this.#heldBytes += part.length;
  }

  #take(): string {
    const line = Buffer.concat(this.#parts, this.#heldBytes).toString("utf8");
    this.#parts.length = 0;
    this.#heldBytes = 0;
    return line.endsWith("\r") ? line.slice(0, -1) : line;
  }
}
