import { PAGE_BYTES } from "../../kernels/mod.ts";
import { GodwitError } from "../errors/mod.ts";
import type { FaultTimes } from "../paging/mod.ts";

/** Of the fault times that a peer tells. */
const BUCKETS_MAX = 64;

/** What the source relay tells at the session's start, beside what the link itself needs. */
export interface Greeting {
  /** Seed of the page hashes, two u32. */
  readonly seed: { readonly low: number; readonly high: number };
  /** The most that its page store may take, a multiple of 4096; 0: it keeps none, or sends QEMU's records only. */
  readonly pageCacheBytes: number;
}

export function encodeGreeting(greeting: Greeting): Uint8Array {
  return encodeJson(greeting);
}

/** @throws GodwitError LINK_FRAME when a peer's bytes are no greeting */
export function decodeGreeting(bytes: Uint8Array): Greeting {
  const { seed, pageCacheBytes } = decodeJson(bytes, "greeting");
  const { low, high } = isObject(seed) ? seed : {};
  if (!isU32(low) || !isU32(high) || !isCacheBytes(pageCacheBytes)) throw broken("greeting");
  return { seed: { low, high }, pageCacheBytes };
}

/** What the target relay answers at the session's start. */
export interface Welcome {
  /** As in Greeting. Both sides keep a page store of the smaller of both sizes. */
  readonly pageCacheBytes: number;
}

export function encodeTargetGreeting(welcome: Welcome): Uint8Array {
  return encodeJson(welcome);
}

/** @throws GodwitError LINK_FRAME when a peer's bytes are no greeting */
export function decodeTargetGreeting(bytes: Uint8Array): Welcome {
  const { pageCacheBytes } = decodeJson(bytes, "greeting");
  if (!isCacheBytes(pageCacheBytes)) throw broken("greeting");
  return { pageCacheBytes };
}

/** What the target relay tells of itself at the end (payload of `summary`). */
export interface Summary {
  readonly cpuMs: number;
  readonly rssBytes: number;
  readonly faults: number;
  /** Time that threads were busy unpacking frames `pages`, and that their entries took to become records. */
  readonly unpackMs: number;
  readonly decodeMs: number;
  /** Post-copy; null: the guest never waited for a page. */
  readonly faultTimes: FaultTimes | null;
}

export function encodeSummary(summary: Summary): Uint8Array {
  return encodeJson(summary);
}

/** @throws GodwitError LINK_FRAME when a peer's bytes are no summary */
export function decodeSummary(bytes: Uint8Array): Summary {
  const { cpuMs, rssBytes, faults, unpackMs, decodeMs, faultTimes } = decodeJson(bytes, "summary");
  if (!isFigure(cpuMs) || !isFigure(rssBytes) || !isFigure(faults) || !isFigure(unpackMs))
    throw broken("summary");
  if (!isFigure(decodeMs) || !(faultTimes === null || isFaultTimes(faultTimes))) throw broken("summary");
  return { cpuMs, rssBytes, faults, unpackMs, decodeMs, faultTimes };
}

function encodeJson(value: Greeting | Welcome | Summary): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function decodeJson(bytes: Uint8Array, rule: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw broken(rule, cause);
  }
  if (!isObject(value)) throw broken(rule);
  return value;
}

function broken(rule: string, cause?: unknown): GodwitError {
  return new GodwitError("LINK_FRAME", { rule }, { cause });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isFaultTimes(value: unknown): value is FaultTimes {
  if (!isObject(value)) return false;
  const { count, p50Ms, p95Ms, p99Ms, maxMs, buckets } = value;
  if (![count, p50Ms, p95Ms, p99Ms, maxMs].every(isFigure)) return false;
  if (!Array.isArray(buckets) || buckets.length > BUCKETS_MAX) return false;
  return buckets.every(
    (b) => isObject(b) && (b["toMs"] === null || isFigure(b["toMs"])) && isFigure(b["count"]),
  );
}

function isU32(n: unknown): n is number {
  return typeof n === "number" && Number.isInteger(n) && n >= 0 && n <= 0xffffffff;
}

function isCacheBytes(n: unknown): n is number {
  return typeof n === "number" && Number.isSafeInteger(n) && n >= 0 && n % PAGE_BYTES === 0;
}

function isFigure(n: unknown): n is number {
  return typeof n === "number" && Number.isFinite(n) && n >= 0;
}
