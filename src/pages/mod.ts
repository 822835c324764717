export {
  type ComparedTotal,
  type DigestTotal,
  type Hash64,
  PageDigest,
  sameTotal,
  totalText,
} from "./digest.ts";
export { PageHasher, zeroPageHash } from "./hasher.ts";
