import { readFileSync } from "node:fs";
import { join } from "node:path";

const file = join(import.meta.dirname, "../../package.json");

/** Godwit's own version. */
export const VERSION = String((JSON.parse(readFileSync(file, "utf8")) as { version: string }).version);
