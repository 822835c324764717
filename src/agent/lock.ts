import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { GodwitError } from "../errors/mod.ts";

/**
 * Takes a state dir for this process; returns the release. The system frees the lock when the process dies, however
 * it dies: nothing stale can stay behind. Errors: AGENT_RUNNING.
 */
export function lockStateDir(stateDir: string): () => void {
  const db = new DatabaseSync(join(stateDir, "lock.sqlite"), { timeout: 0 });
  try {
    db.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    db.close();
    if (!/locked/.test((error as Error).message)) throw error;
    throw new GodwitError("AGENT_RUNNING", { stateDir }, { cause: error });
  }
  return () => db.close();
}
