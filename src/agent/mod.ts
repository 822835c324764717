import type { Agent, AgentOptions } from "./agent.ts";
import type { DoctorOptions, Finding } from "./doctor.ts";

export type {
  BalloonBody,
  HostBody,
  MigrationOrder,
  MigrationOrderInput,
  MigrationStatusBody,
  RecoveryBody,
  VmBody,
} from "./api.ts";
export type { AuditEntry, AuditVerdict } from "./audit.ts";
export type { AgentEvent } from "./context.ts";
export { DOWNTIME_LIMIT_MS_MAX, PAGE_CACHE_BYTES_MAX, POOL_BYTES_MAX } from "./limits.ts";
export { agentPaths, clientSocket } from "./paths.ts";
export { VERSION } from "./version.ts";
export type { Agent, AgentOptions, DoctorOptions, Finding };

/**
 * Runs the agent of one host in this process.
 * Errors: AGENT_RUNNING, SOCKET_TAKEN, PATH_TOO_LONG, PATH_UNSAFE, LINK_INSECURE, USAGE.
 */
export async function runAgent(options: AgentOptions): Promise<Agent> {
  // Loaded here only: every other command would pay for the HTTP server at its start.
  return (await import("./agent.ts")).runAgent(options);
}

/** What this host lacks, by trying it where it can be tried. */
export async function doctor(options: DoctorOptions): Promise<Finding[]> {
  return (await import("./doctor.ts")).doctor(options);
}
