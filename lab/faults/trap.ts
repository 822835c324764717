/**
 * Comes into an agent's process before its own code (`node --import`), and strikes at a line of its log: while that line
 * is being written nothing of what the agent does next has begun, so a fault comes at the same point each time.
 * What to strike is in a file that a case writes (trapFile.ts). Also shifts the wall clock, when told by a signal.
 */
import fs from "node:fs";
import { CLOCK_SIGNAL, readShiftMs, spring, TRAP_VARIABLE } from "./trapFile.ts";

const path = process.env[TRAP_VARIABLE];
// Its relays have no use for it.
delete process.env["NODE_OPTIONS"];
delete process.env[TRAP_VARIABLE];

if (path !== undefined) {
  const write = fs.writeSync;
  fs.writeSync = ((fd: number, data: string, ...rest: []) => {
    const written = write(fd, data, ...rest);
    if (fd === 2) spring(path, String(data));
    return written;
  }) as typeof fs.writeSync;

  let shiftMs = 0;
  process.on(CLOCK_SIGNAL, () => {
    shiftMs = readShiftMs(path);
  });
  const RealDate = Date;
  const now = (): number => RealDate.now() + shiftMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, given, self) => Reflect.construct(target, given.length === 0 ? [now()] : given, self),
    get: (target, key) => (key === "now" ? now : Reflect.get(target, key)),
  });
}
