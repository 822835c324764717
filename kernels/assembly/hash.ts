// XXH3, 64 bits, seeded: exactly the published algorithm, of any length and of a batch of pages.
import { ADDRESSES_AT, HASHES_AT, PAGES_MAX } from "../layout";
import { hashLong } from "./hash_long";
import { hashShort } from "./hash_short";
import { deriveSecret } from "./secret";

const ADDRESSES: usize = ADDRESSES_AT;
const HASHES: usize = HASHES_AT;
const PAGE: usize = 4096;
const SHORT_MAX: usize = 240;

let currentSeed: u64 = 0;

/** Sets the seed of all later hashes; to be called before the first. */
export function seed(low: u32, high: u32): void {
  currentSeed = ((<u64>high) << 32) | (<u64>low);
  deriveSecret(currentSeed);
}

/** Hashes `count` pages whose addresses stand in the scratch array. One outside the memory traps. */
export function hashPages(count: u32): void {
  if (count > <u32>PAGES_MAX) unreachable();
  for (let i: u32 = 0; i < count; i++) {
    const at = <usize>load<u32>(ADDRESSES + (<usize>i << 2));
    store<u64>(HASHES + (<usize>i << 3), hashLong(at, PAGE));
  }
}

/** Hashes `length` bytes into the first place of the results. */
export function hashRange(at: usize, length: usize): void {
  store<u64>(HASHES, length > SHORT_MAX ? hashLong(at, length) : hashShort(at, length, currentSeed));
}
