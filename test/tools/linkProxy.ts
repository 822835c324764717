/** Someone in the middle of the link who understands its frames: damages pages, or keeps what the target says back. */
import net from "node:net";
import { crc32 } from "node:zlib";
import {
  DataKind,
  decodeHeader,
  HEADER_BYTES,
  isDataKind,
  RECORDS_PREFIX_BYTES,
} from "../../src/wire/mod.ts";

export interface LinkProxy {
  /** HOST:PORT for the source relay. */
  readonly address: string;
  /** Frames in which a byte of a page was changed. */
  readonly damaged: () => number;
  /** Whether the target's words are being kept back. */
  readonly holding: () => boolean;
  /** Lets everything pass again, in order. */
  release(): void;
  close(): Promise<void>;
}

interface Frame {
  readonly kind: number;
  readonly bytes: Buffer;
  readonly payload: Buffer;
}

/**
 * Forwards one link on loopback, frame by frame.
 * @param damage  change one byte of a page in so many frames of records; their headers stay valid
 * @param holdFromDigest  once the source's digest passed whose place this is, the target's data frames are kept back
 *   until `release`; acknowledgements, pings and verdicts pass
 */
export async function startLinkProxy(
  target: net.TcpNetConnectOpts,
  options: { readonly damage?: number; readonly holdFromDigest?: number },
): Promise<LinkProxy> {
  let damaged = 0;
  let holding = false;
  let kept: (() => void)[] = [];
  const sockets = new Set<net.Socket>();

  const forward = (frame: Frame): void => {
    if (frame.kind === DataKind.records && damaged < (options.damage ?? 0) && flipPageByte(frame.payload))
      damaged++;
    if (frame.kind === DataKind.digest && frame.payload[0] === options.holdFromDigest) holding = true;
  };
  const server = net.createServer((source) => {
    const onward = net.connect(target);
    for (const socket of [source, onward]) {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket)).on("error", () => undefined);
    }
    source.on("close", () => onward.destroy());
    onward.on("close", () => source.destroy());
    source.on("end", () => onward.end());
    onward.on("end", () => source.end());
    source.on(
      "data",
      inFrames((frame) => {
        forward(frame);
        if (!onward.write(frame.bytes)) {
          source.pause();
          onward.once("drain", () => source.resume());
        }
      }),
    );
    onward.on(
      "data",
      inFrames((frame) => {
        const keep = holding && isDataKind(frame.kind) && frame.kind !== DataKind.verdict;
        if (keep) kept.push(() => source.write(frame.bytes));
        else source.write(frame.bytes);
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    damaged: () => damaged,
    holding: () => holding,
    release() {
      holding = false;
      for (const pass of kept) pass();
      kept = [];
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A listener for "data" that gives whole frames. */
function inFrames(take: (frame: Frame) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (;;) {
      if (rest.length < HEADER_BYTES) return;
      const header = decodeHeader(rest, 0, crc32);
      if (typeof header === "string") throw new Error(`the link broke the rule ${header}`);
      const end = HEADER_BYTES + header.payloadBytes;
      if (rest.length < end) return;
      const bytes = rest.subarray(0, end);
      take({ kind: header.kind, bytes, payload: bytes.subarray(HEADER_BYTES) });
      rest = rest.subarray(end);
    }
  };
}

/** Changes one byte in the body of the first whole page among the records. @returns false when there is none */
function flipPageByte(payload: Buffer): boolean {
  const [ZERO, PAGE, CONTINUE] = [0x02, 0x08, 0x20];
  for (let at = RECORDS_PREFIX_BYTES; at + 8 <= payload.length; ) {
    const flags = payload[at + 7]!;
    at += 8;
    if ((flags & CONTINUE) === 0) at += 1 + payload[at]!;
    if ((flags & PAGE) !== 0) {
      payload[at + 1000]! ^= 0x10;
      return true;
    }
    if ((flags & ZERO) === 0) return false; // encoded: its length is not looked for here
    at += 1;
  }
  return false;
}
