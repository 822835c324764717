import { PAGE_BYTES, type PageKernels } from "../../../kernels/mod.ts";
import { GodwitError } from "../../errors/mod.ts";

/** How many bits of a page's hash the source relay's index compares. For tests alone (CONTRIBUTING.md). */
export const COLLIDE_VARIABLE = "GODWIT_TEST_COLLIDE";

/** Hashes that collide on purpose. */
export interface Colliding {
  readonly indexBits: number;
  /** Content is not compared either: a page that looks like another is taken for it. */
  readonly blind: boolean;
}

/**
 * What the source relay was told to mistake, with the line that says so; undefined when nothing. `BITS`: contents are told
 * apart all the same. `BITS,blind`: they are not, and only the digest can tell. Errors: USAGE for anything else.
 */
export function collidesOnPurpose(
  env: NodeJS.ProcessEnv,
): { readonly warning: string; readonly colliding: Colliding } | undefined {
  const text = env[COLLIDE_VARIABLE];
  if (text === undefined || text === "") return undefined;
  const [bits, word, ...more] = text.split(",");
  const indexBits = Number(bits);
  const known = (word === undefined || word === "blind") && more.length === 0;
  if (!known || bits === "" || !Number.isInteger(indexBits) || indexBits < 0 || indexBits > 64)
    throw new GodwitError("USAGE", { problem: `${COLLIDE_VARIABLE} is "${text}", not 0 to 64 or 0,blind` });
  const blind = word === "blind";
  const how = blind ? "and contents are not compared" : "contents decide";
  return {
    warning: `COLLIDES ON PURPOSE: ${COLLIDE_VARIABLE}=${text}, hashes have ${indexBits} bits, ${how}`,
    colliding: { indexBits, blind },
  };
}

/** Kernels to which any two pages are alike, but for zeros. */
export function blindKernels(kernels: PageKernels): PageKernels {
  const { zeroPage } = kernels;
  return {
    ...kernels,
    comparePages: (a, b) => (b === zeroPage ? kernels.comparePages(a, b) : PAGE_BYTES),
  };
}
