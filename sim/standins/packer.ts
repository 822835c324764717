/** In the place of src/relay/engine/packer.ts: zstd at once, told a moment later, in any order up to four at a time. */
import { constants, zstdCompressSync } from "node:zlib";
import { here } from "../engine/active.ts";

const PACKED_BYTES_MIN = 128;
const JOB_MS_MAX = 0.8;

export class Packer {
  readonly jobsMax = 4;
  busyMs = 0;
  batches = 0;
  unpackedBytes = 0;
  bytes = 0;

  pack(body: Uint8Array, level: number, done: (packed: Uint8Array | undefined) => void): void {
    const { simulation, network } = here();
    const ms = network.random.float() * JOB_MS_MAX;
    simulation.schedule(ms, () => {
      this.busyMs += ms;
      // Read only now: whoever changes it meanwhile is found out.
      const packed = zstdCompressSync(body, {
        params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: 17 },
      });
      if (packed.length >= body.length) return done(undefined);
      this.batches++;
      this.unpackedBytes += body.length;
      this.bytes += packed.length;
      done(packed);
    });
  }

  reuse(packed: Uint8Array): void {
    // Whoever still reads it finds nonsense.
    packed.fill(0xee);
  }

  close(): void {}
}

export function worthPacking(bytes: number): boolean {
  return bytes >= PACKED_BYTES_MIN;
}
