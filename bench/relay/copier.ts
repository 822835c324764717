/**
 * A process that only copies bytes between two sockets, both ways: what any relay in Node costs at least, without
 * reading the stream, hashing a page or surviving a lost connection. Forked by the benches.
 *
 *   argv[2]: { listen, to } as JSON, each a unix path or a TCP port on loopback. Sends { address } when it listens.
 */
import net from "node:net";

const { listen, to } = JSON.parse(process.argv[2]!) as { listen: string | number; to: string | number };

const where = (at: string | number): net.NetConnectOpts & net.ListenOptions =>
  typeof at === "string" ? { path: at } : { host: "127.0.0.1", port: at };

const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (input) => {
  const output = net.connect({ ...where(to), allowHalfOpen: true });
  for (const socket of [input, output]) socket.on("error", () => [input, output].map((s) => s.destroy()));
  input.pipe(output);
  output.pipe(input);
});
server.listen(where(listen), () => process.send!({ address: server.address() }));
process.on("disconnect", () => process.exit(0));
