/**
 * C sources for the guest's compiler to chew on: functions of the kind that programs are made of (tables, structs, loops,
 * switches), of one seed per unit. They need no header, for the guest has none.
 */

/** How many there are; lab/guest/loads/compile.sh takes them by turns. */
export const COMPILE_UNITS = 8;
const FUNCTIONS = 120;

/** The text of unit `index`, about 2500 lines; always the same. */
export function compileUnit(index: number): string {
  const random = xorshift(index + 1);
  const parts = [
    "typedef unsigned long word;",
    "struct node { word key, value; struct node *left, *right; char name[24]; };",
    `static const word table_${index}[] = {`,
    Array.from({ length: 256 }, () => `  ${random()}u,`).join("\n"),
    "};",
    ...Array.from({ length: FUNCTIONS }, (_, number) => functionText(index, number, random)),
    `word unit_${index}(word x) {`,
    ...Array.from({ length: FUNCTIONS }, (_, number) => `  x ^= step_${index}_${number}(x, 0);`),
    "  return x;",
    "}",
  ];
  return `${parts.join("\n")}\n`;
}

function functionText(unit: number, number: number, random: () => number): string {
  const cases = Array.from(
    { length: 4 + (random() % 6) },
    (_, at) => `    case ${at}: x = x * ${random() | 1}u + (y >> ${1 + (random() % 31)}); break;`,
  );
  return [
    `static word step_${unit}_${number}(word x, struct node *n) {`,
    `  word y = table_${unit}[x & 255], i;`,
    `  for (i = 0; i < ${1 + (random() % 16)}; i++) {`,
    `    switch ((x ^ y) % ${cases.length}u) {`,
    ...cases,
    `    default: y ^= ${random()}u;`,
    "    }",
    `    if (n && n->key > x) { n->value += y; n = n->left; } else if (n) { n->name[i % 24] ^= (char)y; n = n->right; }`,
    `    y = (y << ${1 + (random() % 31)}) | (x >> ${1 + (random() % 31)});`,
    "  }",
    "  return x + y;",
    "}",
  ].join("\n");
}

/** 32 bits at a time (Marsaglia 2003). */
function xorshift(seed: number): () => number {
  let state = (seed * 0x9e3779b1) >>> 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}
