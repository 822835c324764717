/**
 * A process that is a nuisance to an HTTP server on loopback: many connections that send a byte now and then, ever more of
 * them, and requests one after the other as fast as answers come. Sends its counts about four times a second.
 * argv: PORT
 */
import { Agent, request } from "node:http";
import { connect } from "node:net";

export interface FloodCounts {
  /** Slow connections that the server has dropped so far, and those that are open. */
  readonly dropped: number;
  readonly open: number;
  /** Answers by status. */
  readonly answers: Readonly<Record<string, number>>;
}

const SLOW = 200;
const SLOW_MAX = 400;
const ONE_MORE_MS = 20;
const QUICK = 6;
const DRIBBLE_MS = 300;

function flood(port: number): () => FloodCounts {
  let dropped = 0;
  let open = 0;
  const answers: Record<string, number> = {};

  const slow = () => {
    const socket = connect(port, "127.0.0.1", () => {
      open += 1;
      socket.write("POST /peer/v1/migrations HTTP/1.1\r\nhost: x\r\nx-word: ");
    });
    const timer = setInterval(() => socket.write("x"), DRIBBLE_MS);
    socket.on("error", () => undefined);
    socket.once("close", () => {
      clearInterval(timer);
      open -= 1;
      dropped += 1;
    });
  };
  for (let n = 0; n < SLOW; n++) slow();
  setInterval(() => {
    if (open < SLOW_MAX) slow();
  }, ONE_MORE_MS);

  const asks = [
    ["GET", "/peer/v1/clock"],
    ["POST", "/peer/v1/migrations"],
    ["POST", "/peer/v1/migrations/m-00000000/commit"],
    ["GET", "/peer/v1/migrations/m-00000000/facts"],
    ["GET", "/nowhere"],
  ] as const;
  let turn = 0;
  const quick = (agent: Agent) => {
    const [method, path] = asks[turn++ % asks.length]!;
    const again = (what: string) => {
      answers[what] = (answers[what] ?? 0) + 1;
      setImmediate(quick, agent);
    };
    const call = request({ port, host: "127.0.0.1", method, path, agent }, (response) => {
      response.resume().once("close", () => again(`${response.statusCode}`));
    });
    call.once("error", () => again("none")).end();
  };
  for (let n = 0; n < QUICK; n++) quick(new Agent({ keepAlive: true, maxSockets: 1 }));
  return () => ({ dropped, open, answers });
}

if (process.argv[1] === import.meta.filename) {
  const counts = flood(Number(process.argv[2]));
  setInterval(() => process.send?.(counts()), 250);
  process.once("disconnect", () => process.exit());
}
