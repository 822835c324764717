/** The report of a result: a page, a Markdown table, and pictures where there is a browser. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "../../lab/mod.ts";
import type { BenchResult } from "../../src/bench/mod.ts";
import { markdownOf } from "./markdown.ts";
import { pageOf } from "./page.ts";
import { picturesOf } from "./pictures.ts";

export { openBrowser } from "./pictures.ts";

export interface WrittenReport {
  /** Path of the page. */
  readonly html: string;
  readonly markdownPath: string;
  /** The text in it. */
  readonly markdown: string;
  /** Paths of the PNGs; none without a browser. */
  readonly pictures: readonly string[];
  /** What could not be done, for people. */
  readonly notes: readonly string[];
}

/**
 * Writes BASE.html, BASE.md and BASE-*.png into the folder, which is made when it is missing.
 * @param options.browser  null: no pictures; left out: the browser that there is
 */
export async function writeReport(
  result: BenchResult,
  folder: string,
  baseName: string,
  options: { readonly browser?: string | null } = {},
): Promise<WrittenReport> {
  await mkdir(folder, { recursive: true });
  const base = join(folder, baseName);
  const markdown = markdownOf(result);
  await writeFile(`${base}.html`, pageOf(result));
  await writeFile(`${base}.md`, markdown);
  const written = { html: `${base}.html`, markdownPath: `${base}.md`, markdown };
  const browser = options.browser === undefined ? chromium() : options.browser;
  if (browser === null)
    return {
      ...written,
      pictures: [],
      notes: ["no pictures: there is no Chromium (npm run setup -- --bench)"],
    };
  try {
    return { ...written, pictures: await picturesOf(written.html, base, browser), notes: [] };
  } catch (error) {
    // The report is whole without them: a browser that does not start must not take a run of hours with it.
    return { ...written, pictures: [], notes: [`no pictures: ${browser} failed: ${String(error)}`] };
  }
}
