/**
 * Makes the report of a result anew, beside it.
 *
 *   node bench/report/main.ts RESULT.json
 */
import { basename, dirname } from "node:path";
import { readResult } from "../../src/bench/mod.ts";
import { isGodwitError } from "../../src/errors/mod.ts";
import { writeReport } from "./mod.ts";

const [path, ...rest] = process.argv.slice(2);
if (path === undefined || rest.length > 0) {
  process.stderr.write("give the JSON file of one result\n");
  process.exitCode = 2;
} else {
  try {
    const { html, markdownPath, pictures, notes } = await writeReport(
      await readResult(path),
      dirname(path),
      basename(path, ".json"),
    );
    for (const written of [html, markdownPath, ...pictures]) console.log(written);
    for (const note of notes) process.stderr.write(`${note}\n`);
  } catch (error) {
    if (!isGodwitError(error)) throw error;
    process.stderr.write(`${error.message}\n${error.wayOut}\n`);
    process.exitCode = error.exitCode;
  }
}
