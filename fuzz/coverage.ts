/**
 * What of the project's code was run, by V8's own precise coverage: blocks, of functions that were called. It is the guide to
 * new inputs. Taking it costs milliseconds, so it is taken once for many inputs, and only while it still pays.
 */
import { Session } from "node:inspector";

interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly {
    readonly functionName: string;
    readonly ranges: readonly {
      readonly startOffset: number;
      readonly endOffset: number;
      readonly count: number;
    }[];
  }[];
}

const OURS = /\/src\/(stream|relay|wire|pages|paging|link|qemu)\//;

export class Coverage {
  readonly #session = new Session();
  readonly #blocks = new Set<string>();

  constructor() {
    this.#session.connect();
    this.#session.post("Profiler.enable");
    this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  get blocks(): number {
    return this.#blocks.size;
  }

  /** @returns the blocks that were run since the last call and never before */
  take(): string[] {
    const fresh = [...this.#ran()].filter((block) => !this.#blocks.has(block));
    for (const block of fresh) this.#blocks.add(block);
    return fresh;
  }

  /** Whether any of these blocks was run since the last call. */
  ranAny(of: ReadonlySet<string>): boolean {
    const ran = this.#ran();
    for (const block of of) if (ran.has(block)) return true;
    return false;
  }

  /** From now on code runs as fast as otherwise. */
  stop(): void {
    this.#session.post("Profiler.stopPreciseCoverage");
    this.#session.post("Profiler.disable");
    this.#session.disconnect();
  }

  #ran(): Set<string> {
    const blocks = new Set<string>();
    this.#session.post("Profiler.takePreciseCoverage", (error, taken) => {
      if (error !== null) throw error;
      for (const { url, functions } of taken.result as ScriptCoverage[]) {
        if (!OURS.test(url)) continue;
        for (const { ranges } of functions)
          for (const { startOffset, endOffset, count } of ranges)
            if (count > 0) blocks.add(`${url} ${startOffset} ${endOffset}`);
      }
    });
    return blocks;
  }
}
