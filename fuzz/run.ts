/** Fuzzes one surface in this thread. */
import { Coverage } from "./coverage.ts";
import { mutated } from "./mutate.ts";
import { Random } from "./random.ts";
import type { Surface } from "./types.ts";

export interface RunOptions {
  readonly inputs: number;
  readonly seed: number;
  /** Number of the first input: a run can be taken up where another was ended. */
  readonly from?: number;
  /** Share of inputs that coverage looks at, 0..1. */
  readonly guided: number;
  /** Before each input: its number and its bytes; also when it is run once more, with the number of the last one. */
  readonly before?: (index: number, input: Uint8Array) => void;
}

export interface RunResult {
  readonly inputs: number;
  readonly accepted: number;
  readonly rejected: number;
  /** Blocks of code that were run while coverage looked; 0: it did not. */
  readonly blocks: number;
  readonly corpus: number;
  readonly findings: readonly { readonly input: Uint8Array; readonly what: string }[];
}

/** Inputs between two looks at the coverage. */
const BATCH = 40;
const CORPUS_MAX = 400;
/** Slow ones are taken seldom. */
const LARGE_BYTES = 30_000;
const LARGE_ONE_IN = 24;
/** The same fault is found again and again. */
const FINDINGS_MAX = 20;

/** Gives `inputs` inputs in, made from the seeds and from those that ran something new. */
export function run(surface: Surface, options: RunOptions): RunResult {
  const random = new Random(options.seed + 0x51ed * (options.from ?? 0));
  const seeds = surface.seeds();
  const corpus = { small: seeds.filter(isSmall), large: seeds.filter((seed) => !isSmall(seed)) };
  const found = new Map<string, Uint8Array>();
  const counts = { accepted: 0, rejected: 0 };
  const from = options.from ?? 0;
  const guided = from === 0 ? Math.floor(options.inputs * options.guided) : 0;
  let coverage = guided > 0 ? new Coverage() : undefined;
  let blocks = 0;

  const one = (input: Uint8Array): void => {
    try {
      counts[surface.run(input)]++;
    } catch (error) {
      const what = sentenceOf(error);
      if (!found.has(what) && found.size < FINDINGS_MAX) found.set(what, input);
    }
  };
  const next = (): Uint8Array => {
    const large = corpus.large.length > 0 && (corpus.small.length === 0 || random.oneIn(LARGE_ONE_IN));
    const base = random.pick(large ? corpus.large : corpus.small);
    const other = random.pick(corpus.small.length > 0 ? corpus.small : corpus.large);
    let input = base;
    const structured = surface.mutate !== undefined && !random.oneIn(3);
    for (let left = structured ? 1 + random.below(3) : 0; left > 0; left--)
      input = surface.mutate!(input, random);
    return structured && !random.oneIn(3) ? input : mutated(input, random, other);
  };

  for (let index = from; index < options.inputs; ) {
    const batch: Uint8Array[] = [];
    for (; batch.length < BATCH && index < options.inputs; index++) {
      // The seeds themselves come first.
      const input = index < seeds.length ? seeds[index]! : next();
      options.before?.(index, input);
      one(input);
      batch.push(input);
    }
    if (coverage === undefined) continue;
    const fresh = new Set(coverage.take());
    // Which of them it was is found by running them again, one by one.
    for (const input of fresh.size > 0 ? batch.filter(isSmall) : []) {
      options.before?.(index - 1, input);
      attempt(surface, input);
      if (!coverage.ranAny(fresh)) continue;
      if (corpus.small.length < CORPUS_MAX) corpus.small.push(Uint8Array.from(input));
      else corpus.small[random.below(CORPUS_MAX)] = Uint8Array.from(input);
    }
    blocks = coverage.blocks;
    if (index >= guided) {
      coverage.stop();
      coverage = undefined;
    }
  }
  return {
    inputs: options.inputs - from,
    ...counts,
    blocks,
    corpus: corpus.small.length + corpus.large.length,
    findings: [...found].map(([what, input]) => ({ what, input })),
  };
}

/** Once more: what it throws is known. */
function attempt(surface: Surface, input: Uint8Array): void {
  try {
    surface.run(input);
  } catch {
    // Told the first time.
  }
}

function isSmall(input: Uint8Array): boolean {
  return input.length < LARGE_BYTES;
}

function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const place =
    error.stack?.split("\n").find((line) => /\/(src|fuzz)\//.test(line) && !/assert/.test(line)) ?? "";
  return `${error.name}: ${error.message.split("\n")[0]}${place.replace(/.*\/(src|fuzz)\//, " at $1/").replace(/\)$/, "")}`;
}
