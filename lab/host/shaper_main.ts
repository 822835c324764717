/**
 * The shaper as a process of its own, forked with an IPC channel: so its work is not on the watcher's core, and it
 * can run inside a lab host's namespace.
 *
 *   argv[2]: ShaperOptions as JSON. It sends { address } once, and { stats } on request.
 *   Orders: { cut: { ms?, manner } }, { mend: true }, { stats: true }. It ends when the channel closes.
 */
import { type CutManner, type ShaperOptions, startShaper } from "./shaper.ts";

type Order = { cut: { ms?: number; manner: CutManner } } | { mend: true } | { stats: true };

const shaper = await startShaper(JSON.parse(process.argv[2]!) as ShaperOptions);
process.on("message", (order: Order) => {
  if ("cut" in order) shaper.cut(order.cut.ms, order.cut.manner);
  else if ("mend" in order) shaper.mend();
  else process.send!({ stats: { ...shaper.stats } });
});
process.on("disconnect", () => process.exit(0));
process.send!({ address: shaper.address });
