/** Payloads of `digest` and `verdict` frames: one end's sum over all pages, and what the other end makes of it. */
import { getU32, putU32 } from "./bytes.ts";

export const PROOF_BYTES = 16;

/** The sum at one place of the stream. All numbers are u32. */
export interface ProofPayload {
  /** Which place: 1..255, a number that both relays give it (docs/wire.md). */
  readonly place: number;
  /** digest: 0. verdict: 1 = equal, 2 = different. */
  readonly answer: 0 | 1 | 2;
  readonly pages: number;
  readonly lo: number;
  readonly hi: number;
}

/** Payload of digest and verdict, PROOF_BYTES. */
export function encodeProof(proof: ProofPayload): Uint8Array {
  const b = new Uint8Array(PROOF_BYTES);
  b[0] = proof.place;
  b[1] = proof.answer;
  putU32(b, 4, proof.pages);
  putU32(b, 8, proof.hi);
  putU32(b, 12, proof.lo);
  return b;
}

/** The payload's values, or the name of the broken rule. */
export function decodeProof(b: Uint8Array): ProofPayload | "proof_length" | "proof_answer" | "proof_place" {
  if (b.length !== PROOF_BYTES || b[2] !== 0 || b[3] !== 0) return "proof_length";
  const place = b[0] as number;
  const answer = b[1] as number;
  if (place === 0) return "proof_place";
  if (answer !== 0 && answer !== 1 && answer !== 2) return "proof_answer";
  return { place, answer, pages: getU32(b, 4), hi: getU32(b, 8), lo: getU32(b, 12) };
}
