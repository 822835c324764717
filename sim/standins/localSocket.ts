/** In the place of src/relay/localSocket.ts: no files, no permissions. */
import { GodwitError } from "../../src/errors/mod.ts";
import { Server, type Socket } from "./net.ts";

export const UNIX_PATH_BYTES_MAX = 107;

export async function listenLocal(
  options: { readonly path: string },
  accepted: (socket: Socket) => void,
): Promise<{ readonly path: string; close(): Promise<void> }> {
  const { path } = options;
  const server = new Server({ pauseOnConnect: true, allowHalfOpen: true }, accepted);
  await new Promise<void>((resolve, reject) => {
    server.once("error", () => reject(new GodwitError("SOCKET_TAKEN", { path })));
    server.listen(path, resolve);
  });
  return {
    path,
    close: async () => {
      server.close();
    },
  };
}
