/**
 * Stratified permutation test: would the difference be as large if the labels a and b meant nothing? Labels are
 * exchanged only within a stratum (a cell of the bench), so that cells need not be alike.
 */
import { mean } from "simple-statistics";
import { seededRandom } from "./random.ts";

export interface Stratum {
  readonly a: readonly number[];
  readonly b: readonly number[];
}

export interface Permuted {
  /** Mean of b less that of a, averaged over the strata with more weight where more was measured. */
  readonly difference: number;
  /** Two-sided. */
  readonly p: number;
  /** The least p that samples of these numbers can give, whatever they say. */
  readonly pLeast: number;
}

/** Up to so many arrangements all are tried; beyond, so many are drawn. */
const ARRANGEMENTS_MAX = 20_000;
/** Sums of the same numbers in another order differ in their last bits. */
const ROUNDING = 1e-12;

/** @param strata  each with at least one value on either side; at least one stratum */
export function permutationTest(strata: readonly Stratum[], seed: number): Permuted {
  const weights = strata.map(({ a, b }) => (a.length * b.length) / (a.length + b.length));
  const whole = weights.reduce((sum, weight) => sum + weight, 0);
  const differences = strata.map(({ a, b }) => mean([...b]) - mean([...a]));
  const difference = differences.reduce((sum, d, i) => sum + (d * weights[i]!) / whole, 0);
  const arrangements = strata.reduce(
    (product, { a, b }) => product * combinations(a.length + b.length, a.length),
    1,
  );
  const asLarge = (other: number): boolean => Math.abs(other) >= Math.abs(difference) - ROUNDING;
  if (arrangements <= ARRANGEMENTS_MAX) {
    const shares = strata.map((stratum, i) => everyDifference(stratum).map((d) => (d * weights[i]!) / whole));
    const count = countSums(shares, asLarge);
    // Exchanging all labels turns the sign only where both sides are of one size in every stratum.
    const mirrored = strata.every(({ a, b }) => a.length === b.length);
    return { difference, p: count / arrangements, pLeast: (mirrored ? 2 : 1) / arrangements };
  }
  const random = seededRandom(seed);
  const pools = strata.map(({ a, b }) => Float64Array.of(...a, ...b));
  let count = 1; // the arrangement that was measured
  for (let i = 0; i < ARRANGEMENTS_MAX; i++) {
    let drawn = 0;
    for (const [s, pool] of pools.entries())
      drawn += (drawDifference(pool, strata[s]!.a.length, random) * weights[s]!) / whole;
    if (asLarge(drawn)) count++;
  }
  return { difference, p: count / (ARRANGEMENTS_MAX + 1), pLeast: 1 / (ARRANGEMENTS_MAX + 1) };
}

function combinations(n: number, k: number): number {
  let product = 1;
  for (let i = 1; i <= k; i++) product = (product * (n - k + i)) / i;
  return Math.round(product);
}

/** The difference of means in every way to deal the stratum's values out. */
function everyDifference({ a, b }: Stratum): number[] {
  const pool = [...a, ...b];
  const total = pool.reduce((sum, value) => sum + value, 0);
  const found: number[] = [];
  const choose = (from: number, left: number, sumA: number): void => {
    if (left === 0) {
      found.push((total - sumA) / b.length - sumA / a.length);
      return;
    }
    for (let i = from; i <= pool.length - left; i++) choose(i + 1, left - 1, sumA + pool[i]!);
  };
  choose(0, a.length, 0);
  return found;
}

/** How many of all sums of one share per stratum fit. */
function countSums(shares: readonly (readonly number[])[], fits: (sum: number) => boolean): number {
  const walk = (stratum: number, sum: number): number => {
    const here = shares[stratum];
    if (here === undefined) return fits(sum) ? 1 : 0;
    let count = 0;
    for (const share of here) count += walk(stratum + 1, sum + share);
    return count;
  };
  return walk(0, 0);
}

/** Deals `pool` out anew, in place: the first `sizeA` become a. */
function drawDifference(pool: Float64Array, sizeA: number, random: () => number): number {
  let sumA = 0;
  for (let i = 0; i < sizeA; i++) {
    const j = i + Math.floor(random() * (pool.length - i));
    const value = pool[j]!;
    pool[j] = pool[i]!;
    pool[i] = value;
    sumA += value;
  }
  let sumB = 0;
  for (let i = sizeA; i < pool.length; i++) sumB += pool[i]!;
  return sumB / (pool.length - sizeA) - sumA / sizeA;
}
