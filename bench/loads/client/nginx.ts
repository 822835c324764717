import { crc32 } from "node:zlib";
import { Client } from "undici";
import { type Connection, connected } from "./connections.ts";
import { randomOf } from "./random.ts";
import { RATES } from "./rates.ts";

const PORT = 80;
const CONNECT_MS = 2000;
const NEVER_MS = 2 ** 31 - 1;

/** The files that lab/guest/loads/nginx.sh makes, and how many percent of the requests go to each size. */
const FILES = [
  { bytes: 4096, count: 64, percent: 60 },
  { bytes: 65536, count: 32, percent: 30 },
  { bytes: 524288, count: 24, percent: 9 },
  { bytes: 2097152, count: 8, percent: 1 },
];

/** Fetches every file once, to know it again; then hands out connections that ask for them. */
export async function nginxConnections(address: string): Promise<(() => Promise<Connection>)[]> {
  const sums = new Map<string, number>();
  const reader = (await connected(() => connect(address, 1, sums))) as HttpConnection;
  for (const { bytes, count } of FILES)
    for (let index = 0; index < count; index++) {
      const path = `/${bytes}-${index}`;
      sums.set(path, await reader.fetch(path));
    }
  reader.close();
  return Array.from(
    { length: RATES.nginx.connections },
    (_, index) => () => connect(address, index + 1, sums),
  );
}

/** Resolves when the server has answered: that it listens is not enough to say that it has its files. */
async function connect(
  address: string,
  seed: number,
  sums: ReadonlyMap<string, number>,
): Promise<HttpConnection> {
  const connection = new HttpConnection(address, seed, sums);
  try {
    await connection.fetch("/4096-0");
  } catch (error) {
    connection.close();
    throw error;
  }
  return connection;
}

class HttpConnection implements Connection {
  readonly #client: Client;
  readonly #random: () => number;
  readonly #sums: ReadonlyMap<string, number>;
  lost = false;

  constructor(address: string, seed: number, sums: ReadonlyMap<string, number>) {
    this.#random = randomOf(seed);
    this.#sums = sums;
    // no time limits: a guest that is away for a moment is what is measured
    this.#client = new Client(`http://${address}:${PORT}`, {
      ...{ pipelining: 1, headersTimeout: 0, bodyTimeout: 0 },
      ...{ keepAliveTimeout: NEVER_MS, keepAliveMaxTimeout: NEVER_MS },
      connect: { timeout: CONNECT_MS, keepAlive: false },
    });
    this.#client.on("disconnect", () => {
      this.lost = true;
    });
    this.#client.on("connectionError", () => {
      this.lost = true;
    });
  }

  async request(): Promise<void> {
    const path = this.#pick();
    const sum = await this.fetch(path);
    if (sum !== this.#sums.get(path)) throw new Error(`${path} has other bytes than before`);
  }

  /** The checksum of a file as it was served. @throws when it is not the whole file */
  async fetch(path: string): Promise<number> {
    const { statusCode, body } = await this.#client.request({ method: "GET", path });
    let sum = 0;
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      sum = crc32(chunk, sum);
      bytes += chunk.length;
    }
    if (statusCode !== 200 || !path.startsWith(`/${bytes}-`))
      throw new Error(`${path}: status ${statusCode}, ${bytes} bytes`);
    return sum;
  }

  #pick(): string {
    let percent = this.#random() % 100;
    const size = FILES.find((one) => {
      percent -= one.percent;
      return percent < 0;
    })!;
    return `/${size.bytes}-${this.#random() % size.count}`;
  }

  close(): void {
    void this.#client.destroy();
  }
}
