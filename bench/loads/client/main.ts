/**
 * The client of a serving load: a process of its own in the guests' network, forked with an IPC channel.
 *
 *   argv[2]: ClientOptions as JSON. It sends `warm` once, and one `done` for each order. It ends when the channel closes.
 */
import { connected, requestLoop } from "./connections.ts";
import { Gate } from "./gate.ts";
import type { ClientEvent, ClientOptions, ClientOrder } from "./messages.ts";
import { nginxConnections } from "./nginx.ts";
import { RATES } from "./rates.ts";
import { Recorder } from "./recorder.ts";
import { redisConnections } from "./redis.ts";

const CONNECTIONS = { redis: redisConnections, nginx: nginxConnections };
/** How long a pause waits for answers that are under way. */
const PATIENCE_MS = 5_000;

const { client, address } = JSON.parse(process.argv[2]!) as ClientOptions;
const recorder = new Recorder();
const gate = new Gate();

function tell(event: ClientEvent): void {
  if (process.connected) process.send!(event);
}

async function run(): Promise<void> {
  const perSecond = RATES[client].perSecond / RATES[client].connections;
  const connects = await CONNECTIONS[client](address);
  const first = await Promise.all(connects.map((connect) => connected(connect)));
  tell({ event: "warm" });
  await Promise.all(
    connects.map((connect, index) => requestLoop(first[index]!, { connect, perSecond, gate, recorder })),
  );
}

async function obey({ id, order }: ClientOrder): Promise<void> {
  if (order === "pause") await gate.close(PATIENCE_MS);
  if (order === "resume") gate.reopen();
  tell({ event: "done", id, operations: order === "take" ? recorder.take() : null });
}

process.on("message", (order: ClientOrder) => void obey(order));
process.on("disconnect", () => process.exit(0));
process.on("SIGINT", () => undefined); // who forked it decides
run().catch((error: Error) => {
  tell({ event: "failed", reason: error.message });
  process.disconnect?.();
});
