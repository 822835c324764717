export { type Agent, type AgentOptions, runAgent } from "./agent.ts";
export {
  adoptSchema,
  type HostBody,
  type MigrationOrder,
  type MigrationOrderInput,
  type MigrationStatusBody,
  migrationOrderSchema,
  type VmBody,
} from "./api.ts";
export type { AgentEvent } from "./context.ts";
export { doctor, type Finding } from "./doctor.ts";
export { agentPaths, clientSocket } from "./paths.ts";
export { VERSION } from "./version.ts";
