/**
 * Goal: two lab hosts reach each other and nothing else changes on this system; whatever ends the lab, they are gone.
 * Method: real namespaces where the rights suffice, each time in a child process that is ended in another way.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openLabHosts } from "../../lab/host/mod.ts";

const NAMESPACES = "/run/netns";
const MODULE = join(import.meta.dirname, "../../lab/host/mod.ts");

function namespacesOf(pid: number): string[] {
  return existsSync(NAMESPACES) ? readdirSync(NAMESPACES).filter((name) => name.startsWith(`gw${pid}-`)) : [];
}

test("a command on one host reaches the other by its address", (t) => {
  const hosts = openLabHosts();
  t.after(() => hosts.close());
  const say = `require("node:net").createServer((s) => s.end("hi")).listen(0, "${hosts.target.address}",
    function () { console.log(this.address().port) })`;
  const [command, ...args] = hosts.target.argv([process.execPath, "-e", say]);
  const server = spawn(command!, args, { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => server.kill("SIGKILL"));
  return once(server.stdout, "data").then(([port]) => {
    const ask = `require("node:net").connect(${Number(port)}, "${hosts.target.address}").pipe(process.stdout)`;
    const [program, ...rest] = hosts.source.argv([process.execPath, "-e", ask]);
    const { stdout } = spawnSync(program!, rest, { encoding: "utf8", timeout: 10_000 });
    assert.equal(stdout, "hi");
  });
});

test("loopback hosts run a command as it is", () => {
  const hosts = openLabHosts({ loopback: true });
  assert.equal(hosts.apart, false);
  assert.deepEqual(hosts.source.argv(["true"]), ["true"]);
  hosts.close();
});

const endings = {
  "its normal end": { body: "", signal: null, code: 0 },
  "an exception": { body: "setTimeout(() => { throw new Error('on purpose') }, 1)", signal: null, code: 1 },
  SIGINT: { body: "setInterval(() => {}, 1000)", signal: "SIGINT", code: 130 },
  SIGTERM: { body: "setInterval(() => {}, 1000)", signal: "SIGTERM", code: 143 },
} as const;

const apart = ((): boolean => {
  const hosts = openLabHosts();
  hosts.close();
  return hosts.apart;
})();

for (const [name, { body, signal, code }] of Object.entries(endings)) {
  test(`no namespace outlives ${name}`, {
    skip: apart ? false : "needs the right to make namespaces",
  }, async () => {
    const script = `const { openLabHosts } = await import(${JSON.stringify(MODULE)}); openLabHosts();
      console.log("open"); ${body}`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    await once(child.stdout, "data");
    if (signal !== null) {
      assert.equal(namespacesOf(child.pid!).length, 2);
      child.kill(signal);
    }
    const [exitCode] = await once(child, "exit");
    assert.equal(exitCode, code);
    assert.deepEqual(namespacesOf(child.pid!), []);
  });
}
