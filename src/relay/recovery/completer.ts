import type net from "node:net";
import {
  Command,
  type Element,
  encodeReturnMessage,
  type RamBlock,
  type RamSection,
  type ReturnMessage,
  StreamReader,
} from "../../stream/mod.ts";
import { type LocalListener, listenLocal } from "../localSocket.ts";

const PAGE_BYTES = 4096;
/** What QEMU answers RESUME with, and what it expects as the answer. */
const RESUME_ACK = 1;

/**
 * Lets a source QEMU end a post-copy that was interrupted and whose target never ran. QEMU can neither cancel nor forget
 * such a migration ("Postcopy migration in progress, cannot cancel"), but it can resume it: towards us, who say that every
 * page has arrived. It completes, sends nothing, and its guest can be continued like that of any completed migration.
 * Source: QEMU's docs/devel/migration/postcopy, "Postcopy Recovery".
 * @param path  where to listen; QEMU is to be told `migrate` with `resume` to it
 * @param section  the memory as the interrupted stream announced it
 * @throws those of `listenLocal`
 */
export function listenAsCompleter(path: string, section: RamSection): Promise<LocalListener> {
  return listenLocal({ path, mode: 0o600 }, (socket) => complete(socket, section));
}

function complete(socket: net.Socket, section: RamSection): void {
  const say = (message: ReturnMessage): unknown => socket.write(encodeReturnMessage(message));
  const heard = (element: Element): void => {
    if (element.type === "eof") say({ type: "shut", status: 0 });
    if (element.type !== "command") return;
    if (element.command === Command.postcopyResume) say({ type: "resumeAck", value: RESUME_ACK });
    if (element.command !== Command.recvBitmap) return;
    const name = Buffer.from(element.payload.subarray(1)).toString("latin1");
    const block = section.blocks.find((one) => one.name === name);
    if (block !== undefined) say({ type: "bitmap", block: name, bits: allOf(block) });
  };
  const nothing = (): void => undefined;
  const handler = { bytes: nothing, page: nothing, records: nothing, barrier: nothing, element: heard };
  const reader = new StreamReader(handler, { resume: section });
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (bytes: Buffer) => {
    const all = Buffer.concat([rest, bytes]);
    try {
      rest = all.subarray(reader.push(all, 0, all.length));
    } catch {
      socket.destroy(); // QEMU pauses again, and whoever ordered it sees that
    }
  });
  socket.on("error", nothing).on("end", () => socket.end());
  socket.resume();
}

/** A bit per page, in whole words of 64, 1: it has arrived. */
function allOf(block: RamBlock): Uint8Array {
  return new Uint8Array(Math.ceil(block.bytes / PAGE_BYTES / 64) * 8).fill(0xff);
}
