import { Redis } from "ioredis";
import { type Connection, connected } from "./connections.ts";
import { randomOf } from "./random.ts";
import { RATES } from "./rates.ts";
import { cutOf, POOL, valueAt } from "./values.ts";

const PORT = 6379;
const { connections: CONNECTIONS } = RATES.redis;
/** With values of 3 KiB on average, 48 MiB. */
const KEYS = 16384;
const SET_PERCENT = 20;
const POOL_KEY = "pool";
/** Makes values of version 0 where they are kept, for 48 MiB over its network would take a guest under TCG half a minute. */
const FILL = `
local pool = redis.call("GET", "${POOL_KEY}")
for i = 1, #ARGV, 4 do
  local at, header = tonumber(ARGV[i + 1]), ARGV[i + 3]
  redis.call("SET", ARGV[i], header .. string.sub(pool, at + #header + 1, at + tonumber(ARGV[i + 2])))
end`;

/**
 * The keys of one connection. No other one writes them, so each answer is known beforehand; a key whose SET was lost is
 * unknown until the next one.
 */
class Share {
  readonly keys: readonly number[];
  readonly random: () => number;
  readonly #versions = new Map<number, number>();

  constructor(index: number) {
    this.keys = Array.from({ length: KEYS / CONNECTIONS }, (_, i) => i * CONNECTIONS + index);
    this.random = randomOf(index + 1);
  }

  /** What GET has to answer; null: not known. */
  expected(key: number): Buffer | null {
    const version = this.#versions.get(key);
    return version === undefined ? null : valueAt(key, version);
  }

  async fill(redis: Redis): Promise<void> {
    const cuts = this.keys.flatMap((key) => {
      const { at, bytes, header } = cutOf(key, 0);
      return [key, at, bytes, header];
    });
    await redis.eval(FILL, 0, ...cuts);
    for (const key of this.keys) this.#versions.set(key, 0);
  }

  async set(redis: Redis, key: number, version: number): Promise<void> {
    this.#versions.delete(key);
    await redis.set(String(key), valueAt(key, version));
    this.#versions.set(key, version);
  }
}

/** Fills the server; then hands out connections that read and write it. */
export async function redisConnections(address: string): Promise<(() => Promise<Connection>)[]> {
  const shares = Array.from({ length: CONNECTIONS }, (_, index) => new Share(index));
  const connection = (await connected(() => connect(address, shares[0]!))) as RedisConnection;
  await connection.redis.set(POOL_KEY, POOL);
  for (const share of shares) await share.fill(connection.redis);
  await connection.redis.del(POOL_KEY);
  connection.close();
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
