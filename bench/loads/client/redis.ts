import { Redis } from "ioredis";
import { type Connection, connected } from "./connections.ts";
import { randomOf } from "./random.ts";
import { valueAt } from "./values.ts";

const PORT = 6379;
export const REDIS_CONNECTIONS = 8;
export const REDIS_PER_SECOND = 400;
/** With values of 3 KiB on average, 48 MiB. */
const KEYS = 16384;
const SET_PERCENT = 20;
const FILL_BATCH = 32;

/**
 * The keys of one connection. No other one writes them, so each answer is known beforehand; a key whose SET was lost is
 * unknown until the next one.
 */
class Share {
  readonly keys: readonly number[];
  readonly random: () => number;
  readonly #versions = new Map<number, number>();

  constructor(index: number) {
    this.keys = Array.from({ length: KEYS / REDIS_CONNECTIONS }, (_, i) => i * REDIS_CONNECTIONS + index);
    this.random = randomOf(index + 1);
  }

  /** What GET has to answer; null: not known. */
  expected(key: number): Buffer | null {
    const version = this.#versions.get(key);
    return version === undefined ? null : valueAt(key, version);
  }

  async set(redis: Redis, key: number, version: number): Promise<void> {
    this.#versions.delete(key);
    await redis.set(String(key), valueAt(key, version));
    this.#versions.set(key, version);
  }
}

/** Fills the server; then hands out connections that read and write it. */
export async function redisConnections(address: string): Promise<(() => Promise<Connection>)[]> {
  const shares = Array.from({ length: REDIS_CONNECTIONS }, (_, index) => new Share(index));
  for (const share of shares) await fill(address, share);
  return shares.map((share) => () => connect(address, share));
}

async function connect(address: string, share: Share): Promise<RedisConnection> {
  // no second attempt of anything: a lost connection has to be seen
  const redis = new Redis({
    ...{ host: address, port: PORT, lazyConnect: true, keepAlive: 0, connectTimeout: 2000 },
    ...{ retryStrategy: () => null, reconnectOnError: null, maxRetriesPerRequest: 0 },
    ...{ autoResendUnfulfilledCommands: false, disableClientInfo: true },
  });
  redis.on("error", () => undefined); // the failed connect or request says it
  await redis.connect();
  return new RedisConnection(redis, share);
}

async function fill(address: string, share: Share): Promise<void> {
  const connection = (await connected(() => connect(address, share))) as RedisConnection;
  for (let at = 0; at < share.keys.length; at += FILL_BATCH) {
    const batch = share.keys.slice(at, at + FILL_BATCH);
    await Promise.all(batch.map((key) => share.set(connection.redis, key, 0)));
  }
  connection.close();
}

class RedisConnection implements Connection {
  readonly redis: Redis;
  readonly #share: Share;
  #version = 1;
  lost = false;

  constructor(redis: Redis, share: Share) {
    this.redis = redis;
    this.#share = share;
    redis.on("close", () => {
      this.lost = true;
    });
  }

  async request(): Promise<void> {
    const { keys, random } = this.#share;
    const key = keys[random() % keys.length]!;
    if (random() % 100 < SET_PERCENT) return this.#share.set(this.redis, key, this.#version++);
    const expected = this.#share.expected(key);
    const value = await this.redis.getBuffer(String(key));
    if (expected !== null && !value?.equals(expected))
      throw new Error(`key ${key} is not what was written: ${value?.subarray(0, 20).toString("latin1")}`);
  }

  close(): void {
    this.redis.disconnect();
  }
}
