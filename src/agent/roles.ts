/** Who may do what at an agent: one table for all routes. A route that is not in it cannot be registered. */
import { GodwitError } from "../errors/mod.ts";

/** Each role may do what the ones before it may. */
export const ROLES = ["viewer", "operator", "admin"] as const;
export type Role = (typeof ROLES)[number];

export interface Rule {
  /** "host": another host's agent, which has no role at the API, as persons have none at the peer API. */
  readonly need: Role | "host";
  /** What it is called in the audit log and in refusals. */
  readonly order: string;
  /**
   * It lets a move that runs already end well: no limit on rates or on requests in flight may stand in its way.
   * Such an order must be cheap where the id in it is wrong.
   */
  readonly urgent?: boolean;
  /** Words for the audit log, from a checked body. Never a secret, never what is typed on a console. */
  readonly detail?: (body: Readonly<Record<string, unknown>>) => string;
}

const read = (order: string): Rule => ({ need: "viewer", order });

/** By "METHOD URL" as the route was registered. HEAD is GET. */
export const RULES: Readonly<Record<string, Rule>> = {
  "GET /v1/openapi.json": read("read the API's description"),
  "GET /v1/host": read("read about the host"),
  "GET /v1/doctor": read("examine the host"),
  "GET /v1/history": read("read reports"),
  "GET /v1/history/:id": read("read a report"),
  "GET /v1/events": read("follow events"),
  "GET /v1/audit": read("read the audit log"),
  "GET /v1/audit/verdict": read("verify the audit log"),

  "GET /v1/vms": read("list VMs"),
  "GET /v1/vms/:name": read("look at a VM"),
  "GET /v1/vms/:name/balloon": read("look at a VM's balloon"),
  "POST /v1/vms/:name/balloon": {
    need: "operator",
    order: "set a balloon",
    detail: (b) => (b["sizeBytes"] === undefined ? `mode ${b["mode"]}` : `to ${b["sizeBytes"]} bytes`),
  },
  "POST /v1/vms": { need: "admin", order: "start a VM", detail: program },
  "POST /v1/vms/adopt": { need: "admin", order: "adopt a VM", detail: (b) => `at ${b["qmp"]}` },
  "DELETE /v1/vms/:name": { need: "admin", order: "end a VM" },
  "POST /v1/vms/:name/console": { need: "admin", order: "type on a console" },

  "GET /v1/migrations": read("list migrations"),
  "GET /v1/migrations/:id": read("look at a migration"),
  "POST /v1/migrations": {
    need: "operator",
    order: "migrate",
    detail: (b) => `to ${b["to"]} by ${b["strategy"]}`,
  },
  "POST /v1/migrations/:id/cancel": { need: "operator", order: "cancel", urgent: true },
  "POST /v1/migrations/:id/postcopy": { need: "operator", order: "go to post-copy", urgent: true },
  "GET /v1/recoveries": read("list what is not settled"),
  "GET /v1/recoveries/:id": read("look at what is not settled"),
  "POST /v1/recoveries/:id": {
    need: "operator",
    order: "recover",
    urgent: true,
    detail: (b) => `${b["action"]}${b["fenced"] === true ? ", said that the other host is fenced" : ""}`,
  },

  "GET /peer/v1/clock": { need: "host", order: "compare clocks" },
  "POST /peer/v1/migrations": {
    need: "host",
    order: "prepare",
    detail: (b) => `from ${b["sourceHost"]}`,
  },
  "POST /peer/v1/migrations/:id/commit": { need: "host", order: "commit", urgent: true },
  "POST /peer/v1/migrations/:id/discard": { need: "host", order: "discard", urgent: true },
  "POST /peer/v1/migrations/:id/recover": { need: "host", order: "recover", urgent: true },
  "GET /peer/v1/migrations/:id": { need: "host", order: "ask for a phase", urgent: true },
  "GET /peer/v1/migrations/:id/facts": { need: "host", order: "ask for facts", urgent: true },
  "GET /peer/v1/migrations/:id/seen": { need: "host", order: "ask what is seen" },
  "GET /peer/v1/departures/:id/seen": { need: "host", order: "ask what is seen" },
};

function program(body: Readonly<Record<string, unknown>>): string {
  const qemu = body["qemu"] as { readonly binary: string } | undefined;
  return qemu === undefined ? "with the agent's QEMU" : `with ${qemu.binary}`;
}

/** The rule of a route. @throws TypeError for a route that has none: nobody decided who may use it. */
export function ruleOf(method: string, url: string): Rule {
  const key = `${method === "HEAD" ? "GET" : method} ${url}`;
  const rule = RULES[key];
  if (rule === undefined || !Object.hasOwn(RULES, key)) throw new TypeError(`${key} has no role (roles.ts)`);
  return rule;
}

/** Errors: FORBIDDEN naming the role that is needed. */
export function checkRole(have: Role | "host", rule: Rule): void {
  const { need, order } = rule;
  const may = need === "host" || have === "host" ? need === have : ROLES.indexOf(have) >= ROLES.indexOf(need);
  if (!may) throw new GodwitError("FORBIDDEN", { order, need, have });
}
