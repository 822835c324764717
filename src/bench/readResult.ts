import { readFile } from "node:fs/promises";
import { GodwitError } from "../errors/mod.ts";
import { type BenchResult, parseResult } from "./result.ts";

/**
 * Reads the file of a result.
 * @throws BENCH_RESULT_INVALID when it cannot be read, is not JSON or not of this format
 */
export async function readResult(path: string): Promise<BenchResult> {
  let input: unknown;
  try {
    input = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const problem = code === undefined ? "it is not JSON" : `it cannot be read (${code})`;
    throw new GodwitError("BENCH_RESULT_INVALID", { source: path, problem }, { cause: error });
  }
  return parseResult(input, path);
}
