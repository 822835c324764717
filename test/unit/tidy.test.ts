/**
 * Goal: the house rules that a formatter does not know hold everywhere.
 * Method: reads the sources as text. Each rule is a function from text to complaints and is first shown one sample
 * that breaks it, so that none of them can go blind unnoticed.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "../..");
const LINES_MAX = 600;
const PURE = ["errors", "wire", "stream", "pages", "paging", "migration"];
/** Words that no file may contain, lower case. */
const FORBIDDEN_WORDS: readonly string[] = [];

type Rule = (text: string) => string[];

/** Sources under `folders`, as paths from the root. */
function sources(...folders: string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(ts|mjs|c|sh)$/.test(entry.name))
      .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
      .filter((path) => !path.startsWith("kernels/build/")),
  );
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** Blanks comments, keeps lines. Not a parser: `//` within a string hides the rest of its line, which is harmless here. */
function code(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " "))
    .replace(/\/\/.*/g, "");
}

function linesWith(text: string, pattern: RegExp): string[] {
  return text.split("\n").flatMap((line, i) => (pattern.test(line) ? [`line ${i + 1}: ${line.trim()}`] : []));
}

const tooLong: Rule = (text) => {
  const lines = text.split("\n").length - 1;
  return lines > LINES_MAX ? [`${lines} lines`] : [];
};
const impure: Rule = (text) =>
  linesWith(
    code(text),
    /\b(Date\.now|new Date\(\)|Math\.random|performance\b|process\.|setTimeout|setInterval)|"node:/,
  );
const printing: Rule = (text) => linesWith(code(text), /\bconsole\.(log|info|warn|error|debug|table|dir)\(/);
const unfinished: Rule = (text) => linesWith(text, /\b(TO.?DO|FIX.?ME|XX[X])\b/);
const forbidden: Rule = (text) => FORBIDDEN_WORDS.filter((word) => text.toLowerCase().includes(word));

function complaints(rule: Rule, files: readonly string[]): string[] {
  return files.flatMap((file) => rule(read(file)).map((complaint) => `${file}: ${complaint}`));
}

const everything = sources("src", "lab", "bench", "sim", "fuzz", "test", "kernels");
const src = everything.filter((file) => file.startsWith("src/"));
const self = relative(ROOT, import.meta.filename);

const rules: readonly { name: string; rule: Rule; files: readonly string[]; breaks: string }[] = [
  {
    name: `no file has more than ${LINES_MAX} lines`,
    rule: tooLong,
    files: everything,
    breaks: "\n".repeat(601),
  },
  {
    name: "pure modules read no clock, no randomness and nothing of node",
    rule: impure,
    files: src.filter((file) => PURE.some((module) => file.startsWith(`src/${module}/`))),
    breaks: "const now = Date.now();",
  },
  {
    name: "only the CLI prints",
    rule: printing,
    files: src.filter((file) => !file.startsWith("src/cli/")),
    breaks: "  console.log(1);",
  },
  {
    name: "nothing is left to do later",
    rule: unfinished,
    files: everything.filter((file) => file !== self),
    breaks: ["// TO", "DO: later"].join(""),
  },
];
for (const { name, rule, files, breaks } of rules) {
  test(name, () => {
    assert.notDeepEqual(rule(breaks), [], "the rule does not see what it is there for");
    assert.notEqual(files.length, 0);
    assert.deepEqual(complaints(rule, files), []);
  });
}

test("no file contains a forbidden word", () => {
  assert.deepEqual(complaints(forbidden, everything), []);
});

test("each module of src is entered by a mod.ts", () => {
  const modules = readdirSync(join(ROOT, "src"));
  assert.notEqual(modules.length, 0);
  const without = modules.filter(
    (module) => module !== "cli" && !existsSync(join(ROOT, "src", module, "mod.ts")),
  );
  assert.deepEqual(without, []);
});

/** Names that a mod.ts exports, types left out. */
function exportedNames(text: string): string[] {
  const lists = [...code(text).matchAll(/export \{([^}]*)\}/g)].flatMap((match) => match[1]!.split(","));
  return lists.map((item) => item.trim()).filter((item) => item !== "" && !item.startsWith("type "));
}

/** Functions declared in `text` with no docstring right above them. */
function undocumented(text: string): string[] {
  const lines = text.split("\n");
  return lines.flatMap((line, i) => {
    const name = /^export (?:async )?function\*? (\w+)/.exec(line)?.[1];
    return name !== undefined && !lines[i - 1]?.trim().endsWith("*/") ? [name] : [];
  });
}

test("each function that a module exports has a docstring", () => {
  assert.deepEqual(undocumented("export function a() {}\n/** b */\nexport function b() {}"), ["a"]);
  const modules = src
    .filter((file) => file.endsWith("/mod.ts"))
    .map((file) => file.slice(0, -"/mod.ts".length));
  const bare = modules.flatMap((module) => {
    const exported = new Set(exportedNames(read(`${module}/mod.ts`)));
    const files = src.filter((file) => file.startsWith(`${module}/`));
    return files.flatMap((file) =>
      undocumented(read(file))
        .filter((name) => exported.has(name))
        .map((name) => `${file}: ${name}`),
    );
  });
  assert.deepEqual(bare, []);
});

test("each test file opens with its goal and method", () => {
  const files = sources("test").filter((file) => file.endsWith(".test.ts"));
  const silent = files.filter((file) => !/^\/\*\*[^/]*Goal:[\s\S]*?Method:/.test(read(file)));
  assert.deepEqual(silent, []);
});

test("the lockfile names no registry host", () => {
  assert.doesNotMatch(read("package-lock.json"), /"resolved"|https?:\/\/registry/);
});
