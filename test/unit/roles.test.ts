/**
 * Goal: nobody does more than his certificate says; nobody without one does anything; each order and each refusal is in the audit
 * log; no route can be without a role; floods are refused by name.
 * Method: a real agent with a small authority of its own, and real TLS clients of every kind, asking for every route there is.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { Agent as Connections, request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import pino from "pino";
import { Bus } from "../../src/agent/bus.ts";
import { plainPeer, socketOwner } from "../../src/agent/caller.ts";
import { systemClock } from "../../src/agent/clock.ts";
import { guard } from "../../src/agent/guard.ts";
import { makeHttp } from "../../src/agent/http.ts";
import { type Agent, type AuditEntry, type AuditVerdict, runAgent } from "../../src/agent/mod.ts";
import { Rates } from "../../src/agent/rates.ts";
import { checkRole, ROLES, type Role, RULES, ruleOf } from "../../src/agent/roles.ts";
import { eventRoutes } from "../../src/agent/routes/events.ts";
import { AgentClient } from "../../src/cli/client.ts";
import { isGodwitError } from "../../src/errors/mod.ts";
import { type Identity, issue, makeAuthority, openTls } from "../../src/trust/mod.ts";

const scratch = mkdtempSync(join(tmpdir(), "gw-roles-"));
const at = (name: string) => join(scratch, name);
let agent: Agent;
let api: string;
let peer: string;
let socket: AgentClient;

async function certificate(kind: Identity["kind"], name: string, authority = "ca"): Promise<void> {
  const identity = { kind, name };
  await issue({ authority: at(authority), identity, folder: at(name), days: 1, peers: ["*"] });
}

before(async () => {
  for (const name of ["ca", "other-ca"]) await makeAuthority({ folder: at(name), name, days: 2 });
  await certificate("host", "alpha");
  await certificate("host", "beta");
  for (const role of ROLES) await certificate(role, `a-${role}`);
  await certificate("admin", "stranger", "other-ca");
  mkdirSync(at("state"));
  mkdirSync(at("images"));
  symlinkSync("/etc/hostname", at("images/link"));
  agent = await runAgent({
    ...{ host: "alpha", stateDir: at("state"), tls: at("alpha"), api: "127.0.0.1:0", peer: "127.0.0.1:0" },
    vmFiles: [at("images")],
    log: pino({ level: "silent" }),
  });
  assert(agent.apiAddress !== null && agent.peerAddress !== null);
  api = agent.apiAddress;
  peer = agent.peerAddress;
  socket = new AgentClient(agent.socket);
});
after(async () => {
  await agent.stop();
  rmSync(scratch, { recursive: true });
});

const as = (who: string) => new AgentClient({ api, tls: at(who) });
const audit = () => socket.get<AuditEntry[]>("/v1/audit?limit=1000");
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => "ok",
    (error: unknown) => (isGodwitError(error) ? error.code : String(error)),
  );

const json = { headers: { "content-type": "application/json" } };

/** One connection for many questions of one caller: a handshake takes longer than all else here. */
const kept = new Map<string, Connections>();
after(() => {
  for (const connections of kept.values()) connections.destroy();
});

/** What a server answers to somebody with these papers, or with none. */
function answerTo(
  who: string | null,
  address: string,
  [method, path, order]: readonly [string, string, object?],
): Promise<{ status: number; code: string | null }> {
  return new Promise((resolve, reject) => {
    const [host, port] = address.split(":");
    void papers(who).then((secure) => {
      const connections = kept.get(`${who}`) ?? new Connections({ keepAlive: true, maxSockets: 1 });
      kept.set(`${who}`, connections);
      const options = {
        ...secure,
        host,
        port,
        method,
        path,
        agent: connections,
        ...(order !== undefined && json),
      };
      const call = httpsRequest(options, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => {
          const body = JSON.parse(text || "{}") as { error?: { code: string } };
          resolve({ status: response.statusCode ?? 0, code: body.error?.code ?? null });
        });
      });
      call.on("error", reject).end(order === undefined ? "" : JSON.stringify(order));
    });
  });
}

async function papers(who: string | null): Promise<object> {
  const options = who === null ? {} : (await openTls(at(who))).clientOptions({ kinds: ["host"] }, "x");
  return { ...options, rejectUnauthorized: false };
}

/** All routes of the API with something in the place of their parameters. */
async function routes(): Promise<{ method: string; url: string; rule: (typeof RULES)[string] }[]> {
  const { paths } = await socket.get<{ paths: Record<string, object> }>("/v1/openapi.json");
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((lower) => {
      const method = lower.toUpperCase();
      const rule = ruleOf(method, path.replace(/\{(\w+)\}/g, ":$1"));
      return { method, url: path.replace(/\{\w+\}/g, "nobody"), rule };
    }),
  );
}

describe("roles", () => {
  it("are in the table for every route, which needs each to have one", async () => {
    const found = await routes();
    assert(found.length >= 18, `${found.length} routes`);
    const fastify = makeHttp(pino({ level: "silent" }));
    const none = { write: () => undefined, add: () => undefined };
    const clock = { wallMs: Date.now, monoMs: () => performance.now() };
    guard(fastify, { identify: plainPeer, audit: none, refusals: none, clock });
    assert.throws(() => fastify.get("/v1/without", async () => "x"), /GET \/v1\/without has no role/);
    await fastify.close();
  });

  it("let each do what is theirs and what is of those below, and nothing more", async () => {
    for (const { method, url, rule } of await routes()) {
      for (const role of ROLES) {
        if (url === "/v1/events" || url === "/v1/doctor") continue; // it does not end; it starts QEMUs
        const may = ROLES.indexOf(role) >= ROLES.indexOf(rule.need as Role);
        const { status, code } = await answerTo(`a-${role}`, api, [method, url]);
        assert.equal(
          code === "FORBIDDEN",
          !may,
          `${role}: ${method} ${url} is answered with ${status} ${code}`,
        );
      }
    }
  });

  it("name what is needed when they are not enough", async () => {
    await assert.rejects(as("a-viewer").post("/v1/migrations", { vm: "web", to: "10.0.0.2:7700" }), {
      code: "FORBIDDEN",
      message: "migrate needs the role operator, and this is viewer",
    });
    assert.throws(() => checkRole("host", RULES["GET /v1/host"]!), { code: "FORBIDDEN" });
    assert.throws(() => checkRole("admin", RULES["POST /peer/v1/migrations"]!), { code: "FORBIDDEN" });
  });

  it("are nobody's without a certificate, with another authority's, or with one of another kind", async () => {
    const host = ["GET", "/v1/host"] as const;
    assert.equal((await answerTo(null, api, host)).code, "TLS_NO_CERTIFICATE");
    assert.equal((await answerTo("stranger", api, host)).code, "TLS_UNTRUSTED");
    assert.equal((await answerTo("beta", api, host)).code, "TLS_NOT_AUTHORISED");
    const prepare = ["POST", "/peer/v1/migrations"] as const;
    assert.equal((await answerTo(null, peer, prepare)).code, "TLS_NO_CERTIFICATE");
    assert.equal((await answerTo("a-admin", peer, prepare)).code, "TLS_NOT_AUTHORISED");
    assert.equal((await answerTo("beta", peer, prepare)).code, "USAGE", "the peer API is for hosts");
    assert.equal((await answerTo(null, peer, ["GET", "/nowhere"])).code, "TLS_NO_CERTIFICATE");
    const plain = new Promise<string>((resolve) => {
      const [host, port] = api.split(":");
      let heard = "";
      const raw = connect(Number(port), host).on("data", (chunk) => {
        heard += chunk.toString("latin1");
      });
      raw.on("error", () => resolve(heard)).on("close", () => resolve(heard));
      raw.write("GET /v1/host HTTP/1.1\r\nhost: x\r\n\r\n");
    });
    assert.doesNotMatch(await plain, /HTTP\/1.1 200|alpha/);
  });
});

describe("a source that lies", () => {
  it("makes no QEMU open files outside of the folders for VMs, nor learns what is there", async () => {
    const spec = { name: "web", memory: "64MiB", machine: "q35", cpu: "Nehalem-v1", accel: "tcg" };
    const order = (disk: string) => ({
      ...{ id: "m-12345678", sourceHost: "beta", ticket: "t".repeat(43), qemuVersion: "10.0.2" },
      spec: { ...spec, uuid: randomUUID(), disks: [{ path: disk, format: "raw" }] },
      ...{
        postcopy: false,
        pageCacheBytes: 0,
        postcopyReconnectForMs: 0,
        balloon: { sizeBytes: null, auto: false },
      },
    });
    const asked = async (disk: string) => {
      const { code } = await answerTo("beta", peer, ["POST", "/peer/v1/migrations", order(disk)]);
      return code;
    };
    const outside = ["/etc/hostname", "/no/such/file", at("images/link"), `${at("images")}/../alpha/key.pem`];
    for (const disk of outside) assert.equal(await asked(disk), "PATH_UNSAFE", disk);
    assert.equal(await asked(at("images/none")), "TARGET_DIFFERS");
  });
});

describe("the audit log of an agent", () => {
  it("has who ordered what, and how it ended", async () => {
    await codeOf(as("a-operator").post("/v1/migrations", { vm: "ghost", to: "10.0.0.2:7700" }));
    await codeOf(as("a-operator").post("/v1/migrations", { vm: "ghost", to: "exec:id" }));
    await codeOf(socket.post("/v1/vms/adopt", { qmp: at("nobody"), name: "web" }));
    await answerTo(null, api, ["POST", "/v1/vms"]);
    const entries = await audit();
    const has = (what: object, why: string) => {
      const fits = (entry: AuditEntry) =>
        Object.entries(what).every(([key, value]) => Object.is(entry[key as keyof AuditEntry], value));
      const found = entries.findLast(fits);
      assert(found, `${why}: ${JSON.stringify(entries.slice(-4))}`);
      return found.who;
    };
    const order = { order: "migrate", subject: "ghost", outcome: "refused" };
    const who = has({ ...order, error: "VM_UNKNOWN" }, "an order that could not be carried out");
    assert.deepEqual(who, { role: "operator", name: "a-operator", how: "tls", from: "127.0.0.1" });
    has({ ...order, error: "USAGE" }, "an order that names no HOST:PORT");
    const viewer = has({ order: "migrate", error: "FORBIDDEN" }, "an order of who may not");
    assert.equal(viewer.name, "a-viewer");
    const uid = `uid ${process.geteuid?.()}`;
    const own = has({ order: "adopt a VM", subject: "web", error: "QMP_UNREACHABLE" }, "by the socket");
    assert.deepEqual(own, { role: "admin", name: uid, how: "unix socket", from: null });
    has({ order: "connect to the API", error: "TLS_NO_CERTIFICATE" }, "somebody without a certificate");
    const host = has({ order: "connect to the API", error: "TLS_NOT_AUTHORISED" }, "a host");
    assert.deepEqual([host.role, host.name], ["host", "beta"]);
    assert.deepEqual(has({ order: "connect to the API", error: "TLS_UNTRUSTED" }, "a stranger").name, null);
    has({ order: "connect to the peer API", error: "TLS_NOT_AUTHORISED" }, "a person at the peer API");
    assert.equal((await as("a-viewer").get<AuditVerdict>("/v1/audit/verdict")).broken, null);
  });

  it("has no route that writes, and takes no word for an entry", async () => {
    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      const { status } = await answerTo("a-admin", api, [method, "/v1/audit"]);
      assert.equal(status, 404, method);
    }
    assert.equal(
      Object.keys(RULES).filter((key) => key.includes("audit") && !key.startsWith("GET ")).length,
      0,
    );
  });
});

describe("limits", () => {
  it("are a token bucket per caller, and forget callers beyond a thousand", () => {
    const rates = new Rates({ burst: 3, perSec: 2 });
    const taken = (who: string, nowMs: number) => rates.take(who, nowMs);
    assert.deepEqual(
      [0, 0, 0, 0].map((ms) => taken("a", ms)),
      [true, true, true, false],
    );
    assert(taken("b", 0), "another has a bucket of his own");
    assert.deepEqual(
      [500, 500, 10_000, 10_000, 10_000, 10_000].map((ms) => taken("a", ms)),
      [...[true, false], ...[true, true, true, false]],
    );
    for (let n = 0; n < 5_000; n++) taken(`flood ${n}`, 10_000);
    assert(taken("a", 10_000), "forgotten");
  });

  it("refuse orders beyond the rate, and never those that end what runs", async () => {
    const many = (path: string) =>
      Promise.all(Array.from({ length: 150 }, () => codeOf(socket.post(path, {}))));
    assert.ok((await many("/v1/vms/nobody/balloon")).includes("TOO_MANY"));
    assert.deepEqual(new Set(await many("/v1/migrations/nobody/cancel")), new Set(["MIGRATION_UNKNOWN"]));
    assert.equal(await codeOf(as("a-admin").post("/v1/vms/nobody/balloon", {})), "VM_UNKNOWN");
  });

  it("refuse event streams beyond a number, and take new ones when some have ended", async () => {
    const viewer = as("a-viewer");
    const open = await Promise.all(Array.from({ length: 16 }, () => viewer.events()));
    await assert.rejects(viewer.events(), { code: "TOO_MANY" });
    (await socket.events()).close();
    for (const stream of open) stream.close();
    for (let tries = 0; (await codeOf(viewer.events().then((s) => s.close()))) !== "ok"; tries++)
      assert(tries < 200, "room again");
  });

  it("drop a reader of events that does not read, with a last line that says so, and no other", async () => {
    const fastify = makeHttp(pino({ level: "silent" }));
    const none = { write: () => undefined, add: () => undefined };
    const bus = new Bus(systemClock);
    guard(fastify, { identify: socketOwner, audit: none, refusals: none, clock: systemClock });
    fastify.register(async (routes) => eventRoutes(routes, bus));
    const path = at("events.sock");
    await fastify.listen({ path });
    const [slow, quick] = await Promise.all([0, 1].map(() => new AgentClient(path).events()));
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { seq } of quick!.events) seen.push(seq);
    })();
    // More than is held for one reader and fits into the sockets' own memory.
    const words = "x".repeat(10_000);
    for (let n = 1; n <= 300; n++) {
      bus.emit("words", { words });
      while (seen.length < n) await new Promise((resolve) => setImmediate(resolve));
    }
    const types: string[] = [];
    for await (const { type } of slow!.events) types.push(type);
    assert.equal(types.at(-1), "events.dropped");
    assert(types.length < 300, `${types.length} lines were held`);
    quick!.close();
    await reading;
    await fastify.close();
  });

  it("refuse a body that is too long and headers that are", async () => {
    const long = { name: "web", memory: "64MiB", append: "x".repeat(600_000) };
    await assert.rejects(as("a-admin").post("/v1/vms", long), { code: "USAGE" });
    const { status } = await answerTo("a-viewer", api, ["GET", `/v1/host?${"x".repeat(9_000)}`]);
    assert.equal(status, 431);
  });
});
