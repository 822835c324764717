import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atEnd, canMakeNamespaces, openNamespaces } from "../../lab/host/mod.ts";
import type { LabHost } from "../../lab/mod.ts";
import {
  across,
  type HostName,
  type OpenStageOptions,
  type Stage,
  type StageHost,
  type Way,
} from "../types.ts";
import { GUESTS_MAX, makeGuestNetwork, nicOf, type Place } from "./guestNetwork.ts";
import { tuneNamespace } from "./kernel.ts";
import { FIXED_PORTS, freePorts, type Ports } from "./ports.ts";
import { openWay, SHAPED_ADDRESS } from "./way.ts";
import { qemuWrapper } from "./wrapper.ts";

const HOSTS = ["a", "b"] as const;
const LINK_ADDRESS = { a: "10.83.0.1", b: "10.83.0.2" } as const;
const LOOPBACK = "127.0.0.1";

/** The hosts without the ways between them. */
interface Ground {
  readonly hosts: Stage["hosts"];
  readonly ports: Readonly<Record<HostName, Ports>>;
  readonly client: LabHost | null;
  readonly nic: Stage["nic"];
}

/**
 * Opens a stage: with root two network namespaces joined by a cable, and a third one for clients; else two names for
 * loopback. It goes away at `close()`, and also when the process ends or is interrupted: then even processes that
 * were left inside are killed.
 * @throws SETUP_FAILED naming the command, and then nothing is left
 */
export async function openStage(options: OpenStageOptions): Promise<Stage> {
  const { link, guests } = options;
  if (!(Number.isInteger(guests) && guests >= 0 && guests <= GUESTS_MAX))
    throw new RangeError(`a stage has network cards for 0 to ${GUESTS_MAX} guests, not ${guests}`);
  await using stack = new AsyncDisposableStack();
  const apart = options.loopback !== true && canMakeNamespaces();
  const { hosts, ports, client, nic } = apart ? openApart(stack, options) : await openLoopback();
  const open = async (near: HostName) => {
    const [from, to] = [hosts[near].place, hosts[across(near)].place];
    const ifname = apart ? "lab0" : null;
    const way = await openWay({ near: from, far: to, ports: ports[across(near)], link, ifname });
    stack.defer(() => way.close());
    return way;
  };
  const opened = await Promise.allSettled([open("a"), open("b")]); // both: what one has opened must be closed
  for (const way of opened) if (way.status === "rejected") throw way.reason;
  const [fromA, fromB] = opened.map((way) => (way as PromiseFulfilledResult<Way>).value);
  const closing = stack.move();
  return {
    apart,
    hosts,
    client,
    nic,
    way: (from) => (from === "a" ? fromA! : fromB!),
    close: () => closing.disposeAsync(),
  };
}

function openApart(stack: AsyncDisposableStack, { guests, link }: OpenStageOptions): Ground {
  const dir = mkdtempSync(join(tmpdir(), "gw-stage-"));
  const forget = atEnd(() => rmSync(dir, { recursive: true, force: true }));
  stack.defer(() => {
    forget();
    rmSync(dir, { recursive: true, force: true });
  });
  const spaces = openNamespaces<Place>(["a", "b", "client"], { evict: true });
  stack.defer(() => spaces.close());
  for (const name of HOSTS) tuneNamespace((command) => spaces.argv(name, command), link.bytesPerSec);
  tuneNamespace((command) => spaces.argv("client", command), null);
  spaces.ip("a", [`link add lab0 type veth peer name lab0 netns ${spaces.id("b")}`]);
  for (const name of HOSTS)
    spaces.ip(name, [`address add ${LINK_ADDRESS[name]}/24 dev lab0`, "link set lab0 up"]);
  const client = makeGuestNetwork(spaces, guests);
  const host = (name: HostName): StageHost => {
    const argv: LabHost["argv"] = (command) => spaces.argv(name, command);
    mkdirSync(join(dir, name));
    const qemu = qemuWrapper(join(dir, name), argv);
    const address = LINK_ADDRESS[name];
    return { name, address, place: { name, address, argv }, qemu };
  };
  return {
    hosts: { a: host("a"), b: host("b") },
    ports: { a: FIXED_PORTS, b: FIXED_PORTS },
    client,
    nic: (guest) => (guest < guests ? nicOf(guest) : null),
  };
}

async function openLoopback(): Promise<Ground> {
  const host = (name: HostName): StageHost => ({
    name,
    address: LOOPBACK,
    place: { name, address: LOOPBACK, argv: (command) => [...command] },
    qemu: ({ binary, args }) => ({ binary, args }),
  });
  return {
    hosts: { a: host("a"), b: host("b") },
    ports: await freePorts([LOOPBACK, SHAPED_ADDRESS]),
    client: null,
    nic: () => null,
  };
}
