import { GodwitError } from "../../src/errors/mod.ts";
import type { Load } from "../types.ts";
import { forkClient } from "./client/fork.ts";
import type { ClientName } from "./client/messages.ts";
import { initrdOf } from "./images.ts";

/** A load that serves clients outside the guest, over its network card. */
export function servingLoad(
  about: Pick<Load, "about"> & { readonly name: ClientName; readonly unit: string },
): Load {
  const { name } = about;
  return {
    ...about,
    network: true,
    get initrd() {
      return initrdOf(name);
    },
    append: (address) => `gw.load=${name}${address === null ? "" : ` gw.ip=${address}`}`,
    async start({ network }) {
      if (network === null) throw new GodwitError("BENCH_NO_NETWORK", { load: name });
      return forkClient(name, network);
    },
  };
}
