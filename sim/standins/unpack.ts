/** In the place of src/relay/unpack.ts. What a hostile peer could pack is no subject here: test/unit/relay-target-incoming.test.ts. */
import { zstdDecompressSync } from "node:zlib";
import { here } from "../engine/active.ts";

const JOB_MS_MAX = 0.5;

export class Unpacker {
  busyMs = 0;

  unpack(packed: Uint8Array, bodyBytes: number, done: (result: Uint8Array | string) => void): void {
    const { simulation, network } = here();
    const ms = network.random.float() * JOB_MS_MAX;
    simulation.schedule(ms, () => {
      this.busyMs += ms;
      const body = zstdDecompressSync(packed);
      done(body.length === bodyBytes ? body : "pages_unpacked_size");
    });
  }

  reuse(body: Uint8Array): void {
    body.fill(0xee);
  }

  close(): void {}
}
