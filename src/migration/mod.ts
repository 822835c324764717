export {
  type AgentFacts,
  agentReport,
  type Both,
  type CarriedFigures,
  type Report,
  ReportStatus,
  relayReport,
  STRATEGIES,
  type Strategy,
} from "./report.ts";
