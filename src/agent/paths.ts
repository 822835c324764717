import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Where an agent keeps what lasts, and where its sockets are. */
export interface AgentPaths {
  readonly stateDir: string;
  readonly runDir: string;
  readonly socket: string;
}

export interface PathChoices {
  readonly stateDir?: string | undefined;
  readonly socket?: string | undefined;
}

/**
 * The folders of an agent. With a state dir of its own the sockets go there too, so that two agents of one host
 * do not meet; else they go to the user's (or root's) runtime folder, which a reboot empties.
 */
export function agentPaths(choices: PathChoices, env: NodeJS.ProcessEnv = process.env): AgentPaths {
  const stateDir =
    choices.stateDir ?? join(env["XDG_STATE_HOME"] || join(homedir(), ".local/state"), "godwit");
  const runDir = choices.stateDir === undefined ? defaultRunDir(stateDir, env) : join(stateDir, "run");
  return { stateDir, runDir, socket: choices.socket ?? join(runDir, "agent.sock") };
}

function defaultRunDir(stateDir: string, env: NodeJS.ProcessEnv): string {
  if (env["XDG_RUNTIME_DIR"]) return join(env["XDG_RUNTIME_DIR"], "godwit");
  if (process.geteuid?.() === 0 && existsSync("/run")) return "/run/godwit";
  return join(stateDir, "run");
}

/** The socket a client uses: `--socket`, GODWIT_SOCKET, or the default agent's. */
export function clientSocket(given: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  return given ?? (env["GODWIT_SOCKET"] || agentPaths({}, env).socket);
}
