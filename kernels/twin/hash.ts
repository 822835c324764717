/**
 * XXH3 of 64 bits, seeded, once more: slow, in BigInt, as close to the published description as can be. Tests compare
 * the kernel with it; nothing else imports it.
 */

const MASK = (1n << 64n) - 1n;
const MASK32 = 0xffffffffn;
const P32 = [0x9e3779b1n, 0x85ebca77n, 0xc2b2ae3dn] as const;
const P64 = [
  0x9e3779b185ebca87n,
  0xc2b2ae3d27d4eb4fn,
  0x165667b19e3779f9n,
  0x85ebca77c2b2ae63n,
  0x27d4eb2f165667c5n,
] as const;

// biome-ignore format: the published secret, a line per 32 bytes
const SECRET = Uint8Array.from((
  "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f" +
  "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c" +
  "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8" +
  "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364" +
  "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e" +
  "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
).match(/../g)!.map((byte) => Number.parseInt(byte, 16)));

const u64 = (value: bigint): bigint => value & MASK;
const fold = (a: bigint, b: bigint): bigint => u64(a * b) ^ ((a * b) >> 64n);
const rotl = (value: bigint, by: bigint): bigint => u64(value << by) | (value >> (64n - by));

function read(bytes: Uint8Array, at: number, length: number): bigint {
  let value = 0n;
  for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i]!);
  return value;
}
const read32 = (bytes: Uint8Array, at: number): bigint => read(bytes, at, 4);
const read64 = (bytes: Uint8Array, at: number): bigint => read(bytes, at, 8);

function swapBytes(value: bigint, bytes: number): bigint {
  let swapped = 0n;
  for (let i = 0; i < bytes; i++) swapped = (swapped << 8n) | ((value >> BigInt(8 * i)) & 0xffn);
  return swapped;
}

function avalanche(value: bigint): bigint {
  const h = u64((value ^ (value >> 37n)) * 0x165667919e3779f9n);
  return h ^ (h >> 32n);
}

function avalanche64(value: bigint): bigint {
  let h = u64((value ^ (value >> 33n)) * P64[1]);
  h = u64((h ^ (h >> 29n)) * P64[2]);
  return h ^ (h >> 32n);
}

function mix16(bytes: Uint8Array, at: number, key: number, seed: bigint): bigint {
  const low = read64(bytes, at) ^ u64(read64(SECRET, key) + seed);
  const high = read64(bytes, at + 8) ^ u64(read64(SECRET, key + 8) - seed);
  return fold(low, high);
}

function short(b: Uint8Array, seed: bigint): bigint {
  const n = b.length;
  const key = (at: number): bigint => read64(SECRET, at);
  if (n === 0) return avalanche64(seed ^ key(56) ^ key(64));
  if (n <= 3) {
    const joined = (b[0]! << 16) | (b[n >> 1]! << 24) | b[n - 1]! | (n << 8);
    return avalanche64((BigInt(joined) & MASK32) ^ u64((read32(SECRET, 0) ^ read32(SECRET, 4)) + seed));
  }
  if (n <= 8) {
    const changed = seed ^ (swapBytes(seed & MASK32, 4) << 32n);
    const flip = u64((key(8) ^ key(16)) - changed);
    let h = (read32(b, n - 4) + (read32(b, 0) << 32n)) ^ flip;
    h = u64((h ^ rotl(h, 49n) ^ rotl(h, 24n)) * 0x9fb21c651e98df25n);
    h = u64((h ^ ((h >> 35n) + BigInt(n))) * 0x9fb21c651e98df25n);
    return h ^ (h >> 28n);
  }
  if (n <= 16) {
    const low = read64(b, 0) ^ u64((key(24) ^ key(32)) + seed);
    const high = read64(b, n - 8) ^ u64((key(40) ^ key(48)) - seed);
    return avalanche(u64(BigInt(n) + swapBytes(low, 8) + high + fold(low, high)));
  }
  let sum = BigInt(n) * P64[0];
  if (n <= 128) {
    for (let i = 0; i * 32 < n; i++) {
      sum += mix16(b, 16 * i, 32 * i, seed) + mix16(b, n - 16 * (i + 1), 32 * i + 16, seed);
    }
    return avalanche(u64(sum));
  }
  for (let i = 0; i < 8; i++) sum += mix16(b, 16 * i, 16 * i, seed);
  sum = avalanche(u64(sum));
  for (let i = 8; i < n >> 4; i++) sum += mix16(b, 16 * i, 16 * (i - 8) + 3, seed);
  return avalanche(u64(sum + mix16(b, n - 16, 119, seed)));
}

function seeded(seed: bigint): Uint8Array {
  const secret = new Uint8Array(192);
  const view = new DataView(secret.buffer);
  for (let at = 0; at < 192; at += 16) {
    view.setBigUint64(at, u64(read64(SECRET, at) + seed), true);
    view.setBigUint64(at + 8, u64(read64(SECRET, at + 8) - seed), true);
  }
  return secret;
}

function long(b: Uint8Array, seed: bigint): bigint {
  const secret = seeded(seed);
  const sums = [P32[2], P64[0], P64[1], P64[2], P64[3], P32[1], P64[4], P32[0]] as bigint[];
  const stripe = (at: number, key: number): void => {
    for (let i = 0; i < 8; i++) {
      const data = read64(b, at + 8 * i);
      const keyed = data ^ read64(secret, key + 8 * i);
      sums[i ^ 1] = u64(sums[i ^ 1]! + data);
      sums[i] = u64(sums[i]! + (keyed & MASK32) * (keyed >> 32n));
    }
  };
  const stripes = Math.floor((b.length - 1) / 64);
  for (let s = 0; s < stripes; s++) {
    stripe(64 * s, 8 * (s % 16));
    if (s % 16 !== 15) continue;
    for (let i = 0; i < 8; i++) {
      const sum = sums[i]!;
      sums[i] = u64((sum ^ (sum >> 47n) ^ read64(secret, 128 + 8 * i)) * P32[0]);
    }
  }
  stripe(b.length - 64, 121);
  let merged = BigInt(b.length) * P64[0];
  for (let i = 0; i < 8; i += 2) {
    merged += fold(sums[i]! ^ read64(secret, 11 + 8 * i), sums[i + 1]! ^ read64(secret, 19 + 8 * i));
  }
  return avalanche(u64(merged));
}

/** XXH3-64 of any number of bytes; `seed` is a u64. */
export function xxh3Twin(bytes: Uint8Array, seed: bigint): bigint {
  return bytes.length > 240 ? long(bytes, seed) : short(bytes, seed);
}
