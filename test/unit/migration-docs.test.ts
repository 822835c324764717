/**
 * Goal: docs/states.md and docs/errors.md say what the code does.
 * Method: generate them again and compare with the committed files.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { generatedDocs } from "../../lab/docs/generate.ts";

for (const { path, text } of generatedDocs()) {
  test(`${path} is what \`npm run docs\` writes`, () => {
    const committed = readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
    assert.equal(committed, text, `run \`npm run docs\` and commit ${path}`);
  });
}
