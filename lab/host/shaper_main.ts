/**
 * The shaper as a process of its own, forked with an IPC channel: so its work is not on the watcher's core, and it
 * can run inside a lab host's namespace.
 *
 *   argv[2]: ShaperOptions as JSON. It sends { address } once or { error } at its end, and { stats } on request.
 *   Orders: { cut: { ms?, manner } }, { mend: true }, { stats: true }. It ends when the channel closes.
 */
import { type CutManner, type Shaper, type ShaperOptions, startShaper } from "./shaper.ts";

type Order = { cut: { ms?: number; manner: CutManner } } | { mend: true } | { stats: true };

let shaper: Shaper;
// A Ctrl-C on the terminal is for the watcher to obey, which may still have guests to bring home over this line.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit(0));
try {
  shaper = await startShaper(JSON.parse(process.argv[2]!) as ShaperOptions);
  process.on("message", obey);
  process.send!({ address: shaper.address });
} catch (error) {
  process.send!({ error: (error as Error).message }, () => process.exit(1));
}

function obey(order: Order): void {
  if ("cut" in order) shaper.cut(order.cut.ms, order.cut.manner);
  else if ("mend" in order) shaper.mend();
  else process.send!({ stats: { ...shaper.stats } });
}
