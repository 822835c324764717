/**
 * Goal: the encodings are those of docs/encodings.md: its examples, its longest bodies, each of its rules by name; no
 * limit is overstepped by a byte, and a wrong address traps instead of doing harm.
 * Method: bodies made by hand, pages made to be as bad as can be, every limit from 0 on.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { buildKernels } from "../../kernels/build.ts";
import {
  BATCH_PAGES_MAX,
  DELTA_BYTES_MAX,
  kernelRule,
  loadKernels,
  PAGE_BYTES,
  type PageKernels,
  SPARSE_BYTES_MAX,
  WKDM_BYTES_MAX,
} from "../../kernels/mod.ts";
import * as ruleNumbers from "../../kernels/ruleNumbers.ts";
import { isGodwitError } from "../../src/errors/mod.ts";

type Name = "delta" | "sparse" | "wkdm";

let k: PageKernels;
let base: number;
let page: number;
let out: number;

before(async () => {
  await buildKernels();
  k = loadKernels({ memoryBytes: 128 * 1024 });
  base = k.freeStart;
  page = base + PAGE_BYTES;
  out = page + PAGE_BYTES;
});

const bytesAt = (at: number, length: number): Uint8Array =>
  Uint8Array.from(k.bytes.subarray(at, at + length));

/** The body in `out`, against a base of zeros. */
function encode(name: Name, outMax: number): number {
  if (name === "delta") return k.deltaEncode(base, page, out, outMax);
  return name === "sparse" ? k.sparseEncode(page, out, outMax) : k.wkdmEncode(page, out, outMax);
}

/** What a decoder says of a body. */
function decode(name: Name, body: Uint8Array): string | undefined {
  k.bytes.set(body, out);
  if (name === "delta") return kernelRule(k.deltaDecode(out, body.length, base, page));
  const decoder = name === "sparse" ? k.sparseDecode : k.wkdmDecode;
  return kernelRule(decoder(out, body.length, page));
}

function clear(): void {
  k.bytes.fill(0, base, out);
}

/** Words of 32 bits into the page. */
function setWords(words: { readonly [place: number]: number }): void {
  const view = new DataView(k.bytes.buffer, page, PAGE_BYTES);
  for (const [place, word] of Object.entries(words)) view.setUint32(4 * Number(place), word, true);
}

/** A body as the page writes it: bytes in hex, `00*3` for three of them, then what they mean. */
function example(name: Name): Uint8Array {
  const text = readFileSync(join(import.meta.dirname, "../../docs/encodings.md"), "utf8");
  const block = new RegExp(`\`\`\`${name}\n([^\`]*)\`\`\``).exec(text)![1]!;
  const bytes = block.split("\n").flatMap((line) => {
    const listed = /^(?:[0-9a-f]{2}(?:\*\d+)? ?)*/.exec(line)![0].trim();
    return listed === "" ? [] : listed.split(" ");
  });
  return Uint8Array.from(
    bytes.flatMap((item) => {
      const [byte, times] = item.split("*");
      return Array.from({ length: Number(times ?? 1) }, () => Number.parseInt(byte!, 16));
    }),
  );
}

const EXAMPLES: { readonly [name in Name]: () => void } = {
  delta: () => {
    k.bytes.set([0xaa, 0xbb, 0x00, 0xcc], page + 3);
    k.bytes.set([0x11, 0x22, 0x33, 0x44], page + 1000);
    k.bytes.fill(0x55, page + 1100, page + 1120);
  },
  sparse: () => setWords({ 2: 0x12345, 3: 7, 300: 0xdeadbeef }),
  wkdm: () => setWords({ 0: 0x12345678, 1: 0x12345678, 2: 0x12345679, 4: 5 }),
};

/** Pages with the longest bodies. */
const WORST: { readonly [name in Name]: readonly [bytes: number, make: () => void] } = {
  delta: [
    DELTA_BYTES_MAX,
    () => {
      // 28 runs of at least 144, parted by 2.
      k.bytes.fill(1, page, out);
      for (let run = 1; run < 28; run++) k.bytes.fill(0, page + 146 * run - 2, page + 146 * run);
    },
  ],
  sparse: [SPARSE_BYTES_MAX, () => void k.bytes.fill(0xff, page, out)],
  // Each word has high bits of its own.
  wkdm: [
    WKDM_BYTES_MAX,
    () => setWords(Object.fromEntries(Array.from({ length: 1024 }, (_, i) => [i, ((i + 1) * 5) << 10]))),
  ],
};

for (const name of ["delta", "sparse", "wkdm"] as const) {
  describe(`${name}, form`, () => {
    it("makes the example of the documentation", () => {
      clear();
      EXAMPLES[name]();
      const expected = bytesAt(page, PAGE_BYTES);
      const body = example(name);
      assert.deepEqual(bytesAt(out, encode(name, PAGE_BYTES)), body);
      k.bytes.fill(0x99, page, out);
      assert.equal(decode(name, body), undefined);
      assert.deepEqual(bytesAt(page, PAGE_BYTES), expected);
    });

    it("has no longer body than it says", () => {
      clear();
      const [bytes, make] = WORST[name];
      make();
      assert.equal(encode(name, 8192), bytes);
      assert.equal(encode(name, bytes - 1), 0);
    });

    it("writes nothing beyond any limit", () => {
      const canary = new Uint8Array(8192).fill(0xc7);
      for (const make of [EXAMPLES[name], WORST[name][1]]) {
        clear();
        make();
        const length = encode(name, 8192);
        const body = bytesAt(out, length);
        for (let outMax = 0; outMax <= length + 40; outMax++) {
          k.bytes.set(canary, out);
          const wrote = encode(name, outMax);
          assert.equal(wrote, outMax < length ? 0 : length);
          assert.equal(
            Buffer.compare(k.bytes.subarray(out, out + wrote), body.subarray(0, wrote)),
            0,
            "another body",
          );
          const behind = k.bytes.subarray(out + outMax, out + 8192);
          assert.equal(Buffer.compare(behind, canary.subarray(outMax)), 0, `beyond ${outMax}`);
        }
      }
    });
  });
}

describe("the scratch", () => {
  it("brings nothing of one page into the next", () => {
    const fresh = loadKernels({ memoryBytes: 128 * 1024 });
    // Every word is partial, all low bits are set.
    clear();
    setWords(Object.fromEntries(Array.from({ length: 1024 }, (_, i) => [i, 1023 - (i & 1)])));
    assert.ok(encode("wkdm", 8192) > 0);
    // Five partials, four of them at the very end.
    clear();
    setWords({ 0: 4096, 1: 4097, 1020: 4098, 1021: 4099, 1022: 4100, 1023: 4101 });
    fresh.bytes.set(k.bytes.subarray(page, out), page);
    const length = encode("wkdm", 8192);
    assert.equal(fresh.wkdmEncode(page, out, 8192), length);
    assert.deepEqual(bytesAt(out, length), Uint8Array.from(fresh.bytes.subarray(out, out + length)));
  });
});

describe("the end of the memory", () => {
  it("is never passed by a run at the end of the page", () => {
    const last = k.bytes.length - PAGE_BYTES;
    k.bytes.fill(0, base, page);
    for (let start = PAGE_BYTES - 40; start < PAGE_BYTES; start++) {
      for (let stop = start + 1; stop <= PAGE_BYTES; stop++) {
        k.bytes.fill(0, last);
        // A byte shortly before: the run has a near head.
        k.bytes[last + start - 4] = 1;
        k.bytes.fill(1, last + start, last + stop);
        const length = k.deltaEncode(base, last, out, 100);
        // The body at the very end, too.
        const body = k.bytes.length - length;
        k.bytes.copyWithin(body, out, out + length);
        assert.equal(k.deltaDecode(body, length, base, page), 0);
        const made = bytesAt(page, PAGE_BYTES);
        assert.ok(made.every((byte, i) => byte === (i === start - 4 || (i >= start && i < stop) ? 1 : 0)));
      }
    }
  });
});

describe("rules", () => {
  const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
  const tags = (first: string, second: string, rest = ""): string =>
    first.padEnd(256, "0") + second.padEnd(256, "0") + rest;
  const cases: readonly (readonly [Name, string, string | undefined])[] = [
    ["delta", "", "delta_empty"],
    ["delta", "80", "delta_truncated"],
    ["delta", "0f", "delta_truncated"],
    ["delta", "0f80", "delta_truncated"],
    ["delta", "01 55", "delta_truncated"],
    // The last byte of the page, one behind it, and a gap alone that leads outside.
    ["delta", "ff f8 55", undefined],
    ["delta", "ff f9 55 55", "delta_run_outside_page"],
    ["delta", "ff f8 55 00 55", "delta_run_outside_page"],
    ["delta", "0f ff ff 55", "delta_run_outside_page"],
    ["sparse", "", "sparse_empty"],
    ["sparse", "3f", "sparse_truncated"],
    ["sparse", "3f ff", "sparse_truncated"],
    ["sparse", "c0 01 02 03", "sparse_truncated"],
    // 63 + 960 zero words, then the last word; one more is outside.
    ["sparse", "3f c0 07 55", undefined],
    ["sparse", "3f c1 07 55", "sparse_word_outside_page"],
    ["sparse", "3f c0 07 55 00 55", "sparse_word_outside_page"],
    ["wkdm", "", "wkdm_length"],
    ["wkdm", tags("", "").slice(2), "wkdm_length"],
    ["wkdm", tags("", ""), undefined],
    ["wkdm", tags("", "", "00"), "wkdm_length"],
    ["wkdm", tags("01", "01", "000000"), "wkdm_length"],
    // One exact: an index in the low nibble. One partial: 10 bits and an index.
    ["wkdm", tags("01", "", "0f"), undefined],
    ["wkdm", tags("01", "", "10"), "wkdm_padding"],
    ["wkdm", tags("", "01", "ff 03 0f"), undefined],
    ["wkdm", tags("", "01", "ff 04 0f"), "wkdm_padding"],
    ["wkdm", tags("", "01", "ff 03 1f"), "wkdm_padding"],
  ];

  it("are named, and nothing is written", () => {
    for (const [name, body, rule] of cases) {
      k.bytes.fill(0x66, page, out);
      assert.equal(decode(name, hex(body)), rule, `${name} ${body.slice(0, 20)}`);
      const untouched = bytesAt(page, PAGE_BYTES).every((byte) => byte === 0x66);
      assert.equal(untouched, rule !== undefined, `${name} ${body.slice(0, 20)}`);
    }
    const named = new Set(cases.flatMap(([, , rule]) => rule ?? []));
    assert.equal(named.size, Object.keys(ruleNumbers).length - 1, "a case for each rule");
  });

  it("are listed in the documentation", () => {
    const text = readFileSync(join(import.meta.dirname, "../../docs/encodings.md"), "utf8");
    for (const number of Object.values(ruleNumbers)) {
      const rule = kernelRule(number);
      if (rule !== undefined) assert.ok(text.includes(`\`${rule}\``), rule);
    }
    assert.throws(() => kernelRule(99), RangeError);
  });
});

describe("addresses", () => {
  it("that are wrong trap", () => {
    const end = k.bytes.length;
    const wrong: { readonly [what: string]: () => void } = {
      "page beyond the end": () => k.comparePages(base, end - PAGE_BYTES + 1),
      "base beyond the end": () => k.deltaEncode(end - 1, page, out, 100),
      "out beyond the end": () => k.sparseEncode(page, end - 99, 100),
      "out within the scratch": () => k.wkdmEncode(page, k.freeStart - 1, 100),
      "page of zeros as target": () => k.sparseDecode(out, 2, k.zeroPage),
      "body beyond the end": () => k.wkdmDecode(end - 255, 256, page),
      "a length of nearly 2^32": () => k.deltaDecode(out, 0xffffffff, base, page),
      "body within the page": () => k.deltaDecode(page + 4095, 2, base, page),
      "base half in the page": () => k.deltaDecode(out, 2, page + 1, page),
      "out within the page": () => k.wkdmEncode(page, page - 99, 100),
      "too large a batch of zero tests": () => k.zeroPages(BATCH_PAGES_MAX + 1),
      "too large a batch of counts": () => k.countZeroBytes(BATCH_PAGES_MAX + 1),
      "a page of a batch": () => {
        k.addresses[0] = end - PAGE_BYTES + 1;
        k.zeroPages(1);
      },
    };
    for (const [what, run] of Object.entries(wrong)) assert.throws(run, WebAssembly.RuntimeError, what);
  });

  it("share the memory with a scratch that no batch leaves", () => {
    for (const { byteOffset, byteLength } of [k.zeroFlags, k.zeroCounts]) {
      assert.ok(byteOffset >= k.zeroPage + PAGE_BYTES && byteOffset + byteLength <= k.freeStart);
    }
    assert.ok(bytesAt(k.zeroPage, PAGE_BYTES).every((byte) => byte === 0));
  });
});

describe("loader", () => {
  it("refuses kernels that were compiled from older sources", () => {
    const folder = mkdtempSync(join(tmpdir(), "godwit-kernels-"));
    try {
      const file = join(folder, "kernels.wasm");
      // The smallest module: magic and version, no exports.
      writeFileSync(file, Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
      assert.throws(
        () => loadKernels({ memoryBytes: 2 ** 20, file }),
        (error) => isGodwitError(error) && error.code === "KERNELS_MISSING",
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
