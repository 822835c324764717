/** What a case and the trap in an agent (trap.ts) say to each other, by files. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { type HostMarks, type Role, victimOf } from "./victims.ts";

/** Environment variable: path of the trap's file. */
export const TRAP_VARIABLE = "GODWIT_FAULTS_TRAP";
export const CLOCK_SIGNAL = "SIGUSR2";

export interface Trap {
  /** Springs at the first line of the log that has all of these in it. */
  readonly texts: readonly string[];
  readonly role: Role;
  /** Of the host that is struck, which may be the other one. */
  readonly marks: HostMarks;
  readonly signal: NodeJS.Signals;
}

const sprungPath = (path: string): string => `${path}.sprung`;
const shiftPath = (path: string): string => `${path}.shift`;

/** Sets a trap; one that was there is taken away. */
export function setTrap(path: string, trap: Trap): void {
  clearTrap(path);
  writeFileSync(`${path}.new`, JSON.stringify(trap));
  renameSync(`${path}.new`, path);
}

/** Takes a trap away, sprung or not. */
export function clearTrap(path: string): void {
  rmSync(path, { force: true });
  rmSync(sprungPath(path), { force: true });
}

/** The pid that a trap struck, 0: nothing was there to be struck; null: it has not sprung. */
export function struckBy(path: string): number | null {
  if (!existsSync(sprungPath(path))) return null;
  const text = readFileSync(sprungPath(path), "utf8");
  return text === "" ? null : Number(text);
}

/** In the agent, for each line: strikes if this is the one. What is struck may be this process itself. */
export function spring(path: string, line: string): void {
  const trap = readTrap(path);
  if (trap === null || !trap.texts.every((text) => line.includes(text))) return;
  rmSync(path, { force: true });
  const pid = victimOf(trap.role, trap.marks) ?? 0;
  writeFileSync(sprungPath(path), `${pid}`);
  if (pid > 0) process.kill(pid, trap.signal);
}

/** For CLOCK_SIGNAL: by how much the agent's wall clock is to be wrong, ms. */
export function writeShiftMs(path: string, ms: number): void {
  writeFileSync(shiftPath(path), `${ms}`);
}

export function readShiftMs(path: string): number {
  return Number(readFileSync(shiftPath(path), "utf8"));
}

function readTrap(path: string): Trap | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Trap;
  } catch {
    return null; // none is set
  }
}
