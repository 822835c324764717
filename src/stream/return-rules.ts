/**
 * Whether what a target says on the return path answers what the source has said. The grammar of each message is the
 * reader's business (return-path.ts); here is the conversation.
 */
import { Cursor } from "./bytes.ts";
import { pingValue } from "./firewall.ts";
import { Command } from "./format.ts";
import type { StreamRule } from "./rules.ts";
import type { Barrier, Element, ReturnMessage } from "./types.ts";

/** The PING at the end of a package, which no reader sees: QEMU's number for it. */
const PACKAGE_PING = 3;
/** Values that are kept until they are answered; QEMU sends four in all. */
const PINGS_MAX = 1024;

export class ReturnRules {
  /** PINGs without their PONG yet, by value. */
  readonly #pings = new Map<number, number>();
  readonly #asked = new Set<string>();
  #opened = false;
  /** Memory is over, or the package has passed: only now something can have been loaded. */
  #loadable = false;
  #packaged = false;
  #resumeOrdered = false;
  #switchoverAcked = false;
  /** Bytes passed that nobody can read: any message may answer something in them. */
  #unknown = false;

  /** An element of the source's stream. Before it reaches the target. */
  said(element: Element): void {
    if (element.type === "transparent") this.#unknown = true;
    else if (element.type === "package") {
      this.#packaged = true;
      this.#expect(PACKAGE_PING);
    } else if (element.type === "command") this.#command(element.command, element.payload);
  }

  /** Before anything behind it reaches the target. */
  passed(barrier: Barrier): void {
    if (barrier !== "discard") this.#loadable = true;
  }

  /** A bitmap begins: it passes in pieces, so it is judged before its message is whole. */
  judgeBitmap(block: string): StreamRule | undefined {
    if (this.#unknown) return undefined;
    return this.#asked.delete(block) ? undefined : "bitmap_unasked";
  }

  /** @returns the first rule that this message breaks */
  judge(message: ReturnMessage): StreamRule | undefined {
    if (this.#unknown) return undefined;
    if (!this.#opened) return "return_path_closed";
    switch (message.type) {
      case "pong":
        return this.#answered(message.value) ? undefined : "pong_unasked";
      case "request":
        return this.#packaged || this.#resumeOrdered ? undefined : "request_early";
      case "bitmap":
        return undefined;
      case "resumeAck":
        if (!this.#resumeOrdered) return "resume_ack_unasked";
        this.#resumeOrdered = false;
        this.#packaged = true;
        return undefined;
      case "switchoverAck":
        if (this.#switchoverAcked) return "switchover_ack_twice";
        this.#switchoverAcked = true;
        return undefined;
      case "shut":
        return message.status === 0 && !this.#loadable && !this.#packaged ? "shut_early" : undefined;
    }
  }

  #command(command: number, payload: Uint8Array): void {
    if (command === Command.openReturnPath) this.#opened = true;
    else if (command === Command.ping) this.#expect(pingValue(payload));
    else if (command === Command.recvBitmap) this.#asked.add(new Cursor(payload, 0, payload.length).name());
    else if (command === Command.postcopyResume) this.#resumeOrdered = true;
  }

  #expect(value: number): void {
    if (this.#pings.size < PINGS_MAX || this.#pings.has(value))
      this.#pings.set(value, (this.#pings.get(value) ?? 0) + 1);
  }

  #answered(value: number): boolean {
    const open = this.#pings.get(value) ?? 0;
    if (open <= 1) this.#pings.delete(value);
    else this.#pings.set(value, open - 1);
    return open > 0;
  }
}
