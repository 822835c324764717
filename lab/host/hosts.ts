import { canMakeNamespaces, openNamespaces } from "./namespaces.ts";

export interface LabHost {
  readonly name: string;
  /** Where the other host reaches it. */
  readonly address: string;
  /** The command that runs `command` on this host: `spawn(argv[0], argv.slice(1))`. */
  argv(command: readonly string[]): string[];
}

export interface LabHosts {
  readonly source: LabHost;
  readonly target: LabHost;
  /** True: two network namespaces; false: both on loopback, for want of rights. */
  readonly apart: boolean;
  close(): void;
}

const SIDES = ["source", "target"] as const;

/**
 * Two lab hosts. With root: two network namespaces joined by a veth, addresses inside them only, so the system's own
 * network is not touched. Else two names for loopback. They go away at `close()`, and also when the process ends or
 * is interrupted; processes inside must be ended by their owner, for a namespace lives as long as its last process.
 *
 * @param options.loopback  true: loopback even with root
 */
export function openLabHosts(options: { readonly loopback?: boolean } = {}): LabHosts {
  const apart = options.loopback !== true && canMakeNamespaces();
  if (!apart) {
    const host = (name: string): LabHost => ({
      name,
      address: "127.0.0.1",
      argv: (command) => [...command],
    });
    return { source: host("source"), target: host("target"), apart, close: () => {} };
  }
  const addresses = { source: "10.83.0.1", target: "10.83.0.2" } as const;
  const spaces = openNamespaces(SIDES);
  const { close } = spaces;
  try {
    // inside a namespace the name of an interface need not be unique
    spaces.ip("source", [`link add lab0 type veth peer name lab0 netns ${spaces.id("target")}`]);
    for (const side of SIDES)
      spaces.ip(side, [`address add ${addresses[side]}/24 dev lab0`, "link set lab0 up"]);
  } catch (error) {
    close();
    throw error;
  }
  const host = (name: (typeof SIDES)[number]): LabHost => ({
    name,
    address: addresses[name],
    argv: (command) => spaces.argv(name, command),
  });
  return { source: host("source"), target: host("target"), apart, close };
}
