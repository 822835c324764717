/**
 * Goal: with --relay-ports each arriving VM's relay has a port of the range for itself, and a full range is refused by
 * name.
 * Method: real sockets on loopback; the range is put around ports that the system has just given away.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, it } from "node:test";
import { parsePortRange, RelayPorts } from "../../src/agent/migrate/relayPorts.ts";

const HOST = "127.0.0.1";

async function listener(port = 0) {
  const server = createServer().listen(port, HOST);
  await once(server, "listening");
  return server;
}

describe("a range of relay ports", () => {
  it("gives each port once, and again when it was given back", async () => {
    const probe = await listener();
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, "close");
    const ports = new RelayPorts({ min: port, max: port });
    const first = await ports.take(HOST);
    assert.equal(first.port, port);
    await assert.rejects(ports.take(HOST), { code: "RELAY_PORTS_TAKEN" });
    first.release();
    assert.equal((await ports.take(HOST)).port, port);
  });

  it("is not given away twice to moves that ask at the same time", async () => {
    const probe = await listener();
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, "close");
    const ports = new RelayPorts({ min: port, max: port });
    const asked = await Promise.allSettled([ports.take(HOST), ports.take(HOST)]);
    assert.deepEqual(asked.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  });

  it("leaves ports out that others listen on", async () => {
    const other = await listener();
    const { port } = other.address() as AddressInfo;
    const ports = new RelayPorts({ min: port, max: port });
    await assert.rejects(ports.take(HOST), (error: Error) => error.message.includes(`${port} to ${port}`));
    other.close();
  });

  it("is absent: the system chooses", async () => {
    assert.equal((await new RelayPorts(null).take(HOST)).port, 0);
  });

  it("is written MIN-MAX", () => {
    assert.deepEqual(parsePortRange("7710-7719"), { min: 7710, max: 7719 });
    assert.deepEqual(parsePortRange("7710"), { min: 7710, max: 7710 });
    for (const bad of ["", "0-5", "9-8", "1-65536", "a-b", "1-2-3", "-5", "7710-"])
      assert.throws(() => parsePortRange(bad), { code: "USAGE" }, bad);
  });
});
