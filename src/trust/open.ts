import type { GodwitError } from "../errors/mod.ts";
import type { Tls } from "./tls.ts";

/**
 * Reads a TLS folder for use.
 * @param warn  told once for each change of the files that cannot be used; what they were before stays in use then
 * @throws GodwitError TLS_FOLDER, TLS_KEY_OPEN
 */
export async function openTls(
  folder: string,
  warn: (error: GodwitError) => void = () => undefined,
): Promise<Tls> {
  // Loaded here only: node:tls takes 10 ms at the start of every command otherwise.
  const { Tls: Opened } = await import("./tls.ts");
  return new Opened(folder, warn);
}
