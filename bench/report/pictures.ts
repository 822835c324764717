/** Pictures of the page's main figures, by a browser without a window. */
import { pathToFileURL } from "node:url";
import type { Browser } from "puppeteer-core";

const SECTIONS = {
  overview: "#overview",
  cell: "section.cell .bars",
  curves: "#curves .curve",
  timeline: "#timeline",
} as const;

const WIDTH = 1280;
const MARGIN = 12;

/**
 * Starts a browser for our own local files: no sandbox of its own, which would need user namespaces.
 * @param program  as `chromium()` of lab names it
 */
export async function openBrowser(program: string): Promise<Browser> {
  const { default: puppeteer } = await import("puppeteer-core");
  return await puppeteer.launch({
    executablePath: program,
    headless: "shell",
    args: ["--no-sandbox", "--disable-gpu"],
    timeout: 60_000,
  });
}

/**
 * Writes the first figure of each kind that the page has.
 * @param base  path of the pictures without their ends: `-overview.png` and so on
 * @returns their paths
 */
export async function picturesOf(page: string, base: string, program: string): Promise<string[]> {
  const browser = await openBrowser(program);
  try {
    const tab = await browser.newPage();
    await tab.setViewport({ width: WIDTH, height: 900, deviceScaleFactor: 2 });
    await tab.goto(pathToFileURL(page).href);
    const paths: string[] = [];
    for (const [name, selector] of Object.entries(SECTIONS)) {
      const element = await tab.$(selector);
      if (element === null) continue;
      const path = `${base}-${name}.png` as const;
      const box = (await element.boundingBox())!;
      const clip = { x: 0, y: box.y - MARGIN, width: WIDTH, height: box.height + 2 * MARGIN };
      await tab.screenshot({ path, clip, captureBeyondViewport: true });
      paths.push(path);
    }
    return paths;
  } finally {
    await browser.close();
  }
}
