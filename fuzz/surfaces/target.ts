/** Frames of the link at the target relay: whatever comes, its QEMU meets nothing forbidden, and each missing page once. */
import assert from "node:assert/strict";
import { zstdDecompressSync } from "node:zlib";
import { PAGE_BYTES } from "../../kernels/mod.ts";
import { GodwitError } from "../../src/errors/mod.ts";
import { Meter } from "../../src/relay/meter.ts";
import { RelayPhase } from "../../src/relay/phase.ts";
import { MemoryProof } from "../../src/relay/proof.ts";
import { layTargetMemory } from "../../src/relay/targetMemory.ts";
import { TargetStream } from "../../src/relay/targetStream.ts";
import { concat, emptyEnd, encodeEof, StreamFault } from "../../src/stream/mod.ts";
import {
  DataKind,
  decodePagesPrefix,
  encodeProof,
  PAGES_OUTPUT_BYTES_MAX,
  PAGES_PREFIX_BYTES,
  PagesForm,
} from "../../src/wire/mod.ts";
import { digest, type Frame, framesOf, joined, mutatedFrames, pagesFrames, split } from "../frames.ts";
import { judge } from "../judge.ts";
import { announcement, captures, discards, packaged, RAM_ID, smallStreams } from "../seeds.ts";
import type { Surface, Verdict } from "../types.ts";

const MIB = 2 ** 20;
const STORE_BYTES = 16 * PAGE_BYTES;
const LIMITS = { ramBytesMax: 256 * MIB, deviceBytesMax: 128 * 1024 } as const;
/** One for all inputs, as one relay process has one. */
const memory = layTargetMemory(STORE_BYTES);
const linkAt = memory.linkArena.take()!;
const outAt = memory.outputArena.take()!;
const seed = { low: 1, high: 2 };

/** What of a target relay judges frames, without link and socket. */
class Target {
  readonly given: Uint8Array[] = [];
  readonly #proof = new MemoryProof(memory.kernels, seed);
  readonly #stream: TargetStream;
  #ended = false;

  constructor() {
    this.#stream = new TargetStream({
      kernels: memory.kernels,
      store: { start: memory.store.start, bytes: STORE_BYTES },
      proof: this.#proof,
      meter: new Meter("target"),
      ramKnown: () => undefined,
      firewall: { ...LIMITS, passUnchecked: false },
    });
  }

  frame({ kind, payload: input }: Frame): void {
    if (this.#ended && kind !== DataKind.pages) throw broken("data_after_end");
    const { bytes } = memory.kernels;
    bytes.set(input, linkAt);
    const payload = bytes.subarray(linkAt, linkAt + input.length);
    if (kind === DataKind.records) this.#give(this.#stream.recordsFrame(payload));
    else if (kind === DataKind.digest) this.#digest(payload);
    else if (kind === DataKind.pages) this.#pages(payload);
    else if (kind !== DataKind.stream) throw broken("kind_at_target");
    else if (payload.length > 0) this.#give(this.#stream.streamFrame(payload));
    else {
      this.#stream.end();
      this.#ended = true;
    }
  }

  /** One of a single byte is made right: what is behind a barrier must be reached, too. */
  #digest(payload: Uint8Array): void {
    let proof = payload;
    if (payload.length === 1 && payload[0] !== 0) {
      const { pages, lo, hi } = this.#proof.total();
      proof = encodeProof({ place: payload[0]!, answer: 0, pages, lo, hi });
    }
    if (this.#stream.lacking) throw broken("later");
    const { mismatch } = this.#stream.digestFrame(proof);
    if (mismatch !== undefined) throw mismatch;
  }

  #pages(payload: Uint8Array): void {
    const prefix = decodePagesPrefix(payload);
    if (typeof prefix === "string") throw broken(prefix);
    const { form, entries, bodyBytes } = prefix;
    const repair = form === PagesForm.repair;
    if (this.#ended && !repair) throw broken("data_after_end");
    if (form === PagesForm.answer && this.#stream.phase !== RelayPhase.postcopy)
      throw broken("answer_before_package");
    let at = linkAt + PAGES_PREFIX_BYTES;
    if (form === PagesForm.zstd) {
      const body = unpacked(payload.subarray(PAGES_PREFIX_BYTES), bodyBytes);
      memory.kernels.bytes.set(body, memory.bodyAt);
      at = memory.bodyAt;
    }
    this.#give(this.#stream.pagesFrame({ at, bytes: bodyBytes, entries, repair }, outAt));
    this.#stream.takeMissing();
  }

  #give(parts: readonly Uint8Array[]): void {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    assert(length <= PAGES_OUTPUT_BYTES_MAX + 2 * MIB, "what one frame becomes is bounded");
    for (const part of parts) this.given.push(part.slice());
    this.#stream.takeGiven();
  }
}

function unpacked(packed: Uint8Array, bytes: number): Uint8Array {
  try {
    const body = zstdDecompressSync(packed, { maxOutputLength: bytes });
    if (body.length === bytes) return body;
  } catch {
    // What Unpacker tells in its own way: the surface `unpack` is for that.
  }
  throw broken("pages_zstd");
}

function broken(rule: string): GodwitError {
  return new GodwitError("LINK_FRAME", { rule });
}

function run(input: Uint8Array): Verdict {
  const target = new Target();
  let verdict: Verdict = "accepted";
  try {
    for (const frame of split(input)) target.frame(frame);
  } catch (error) {
    const named = error instanceof GodwitError && ["LINK_FRAME", "DIGEST_MISMATCH"].includes(error.code);
    if (!named && !(error instanceof StreamFault)) throw error;
    verdict = "rejected";
  }
  judge(Buffer.concat(target.given), { ...LIMITS, pagesOnce: true });
  return verdict;
}

function seeds(): Uint8Array[] {
  const streams = [...smallStreams(), ...captures("stream")].map(framesOf);
  const pages = pagesFrames();
  const [precopy] = streams as [Frame[]];
  const end = precopy.findIndex(({ kind }) => kind === DataKind.digest);
  const withPages = [...precopy.slice(0, end), ...pages, ...precopy.slice(end)];
  // What the first of these frames has in it, once more to a guest that waits for it.
  const begin = concat([announcement(true), discards([0, 1, 2, 5, 6], [6]), packaged()]);
  const answer = { kind: DataKind.pages, payload: withForm(pages[0]!.payload, PagesForm.answer) };
  const ending = { kind: DataKind.stream, payload: concat([emptyEnd(RAM_ID), encodeEof()]) };
  const inPostcopy = [...framesOf(begin), answer, digest("end"), ending];
  return [...streams, withPages, inPostcopy].map(joined);
}

function withForm(payload: Uint8Array, form: number): Uint8Array {
  const out = Uint8Array.from(payload);
  out[0] = form;
  return out;
}

export const target: Surface = { name: "target", weight: 30, seeds, run, mutate: mutatedFrames };
