import type { LinkTls } from "../link/mod.ts";
import { openTls } from "../trust/mod.ts";
import type { RelayHooks } from "./hooks.ts";
import type { RelayTls } from "./types.ts";

/**
 * What a relay gives to its link: nothing, or TLS by the files of a folder.
 * @throws GodwitError TLS_FOLDER, TLS_KEY_OPEN
 */
export async function linkTls(
  { tls }: { readonly tls?: RelayTls },
  log: RelayHooks["log"],
): Promise<{ readonly tls?: LinkTls }> {
  if (tls === undefined) return {};
  const opened = await openTls(tls.folder, (error) =>
    log(`${error.message}; what the folder held before is used on`),
  );
  return { tls: { tls: opened, expected: { kinds: ["host"], name: tls.peer } } };
}
