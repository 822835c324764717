/**
 * Every expected failure, once: its data, its sentence, the way out, the HTTP status and the exit code.
 * docs/errors.md is generated from this table.
 */

/** Exit codes of every command. */
export const EXIT = { done: 0, bug: 1, usage: 2, refused: 3, aborted: 4, inDoubt: 5 } as const;

export interface Fields {
  USAGE: { problem: string };
  PEER_ERROR: { code: string; message: string };
  // Relay and link
  SOCKET_TAKEN: { path: string };
  SOCKET_FOLDER_MISSING: { path: string };
  FORWARD_MISSING: { path: string; reason: string };
  LINK_UNREACHABLE: { address: string; reason: string };
  LINK_LOST: { address: string; afterMs: number };
  LINK_VERSION: { ours: string; theirs: string };
  LINK_INSECURE: { address: string };
  LINK_FRAME: { rule: string };
  LINK_BUSY: { address: string };
  ABORTED_BY_PEER: { reason: string };
  STREAM_INVALID: { rule: string; atByte: number };
  STREAM_NOT_QEMU: { firstBytes: string };
  DIGEST_MISMATCH: { pages: number; source: string; target: string };
  SOURCE_QEMU_GONE: { phase: string };
  TARGET_QEMU_GONE: { phase: string };
  REPORT_NOT_WRITTEN: { path: string; reason: string };
}

export type ErrorCode = keyof Fields;

export interface About<C extends ErrorCode> {
  readonly http: number;
  readonly exit: number;
  readonly retry: boolean;
  readonly say: (f: Fields[C]) => string;
  readonly wayOut: string;
}

export const ABOUT: { readonly [C in ErrorCode]: About<C> } = {
  USAGE: { http: 400, exit: 2, retry: false, say: (f) => f.problem, wayOut: "See the command's --help." },
  PEER_ERROR: {
    http: 502,
    exit: 4,
    retry: false,
    say: (f) => `The other side failed with ${f.code}: ${f.message}`,
    wayOut: "Look the code up in the documentation of the version that runs there.",
  },
  SOCKET_TAKEN: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) => `Another process listens on ${f.path}`,
    wayOut: "Choose another path, or end the process that listens there.",
  },
  SOCKET_FOLDER_MISSING: {
    http: 400,
    exit: 3,
    retry: false,
    say: (f) => `The folder of ${f.path} does not exist`,
    wayOut: "Create the folder first; its permissions decide who may connect.",
  },
  FORWARD_MISSING: {
    http: 502,
    exit: 4,
    retry: true,
    say: (f) => `The target QEMU cannot be reached at ${f.path}: ${f.reason}`,
    wayOut: "Start the target with -incoming unix:PATH, or give the path where it listens.",
  },
  LINK_UNREACHABLE: {
    http: 502,
    exit: 4,
    retry: true,
    say: (f) => `No target relay answers at ${f.address}: ${f.reason}`,
    wayOut: "Start `godwit relay target` there first, and check address and firewall.",
  },
  LINK_LOST: {
    http: 502,
    exit: 4,
    retry: true,
    say: (f) => `The link to ${f.address} was lost and did not come back within ${f.afterMs} ms`,
    wayOut: "Mend the network and migrate again; a longer --reconnect-for waits longer.",
  },
  LINK_VERSION: {
    http: 502,
    exit: 3,
    retry: false,
    say: (f) => `The relays speak different link versions: ${f.ours} here, ${f.theirs} there`,
    wayOut: "Install the same Godwit release on both hosts.",
  },
  LINK_INSECURE: {
    http: 400,
    exit: 3,
    retry: false,
    say: (f) => `${f.address} is not loopback, and the link is not encrypted`,
    wayOut: "Give --insecure if the network between the hosts is trusted.",
  },
  LINK_FRAME: {
    http: 502,
    exit: 4,
    retry: false,
    say: (f) => `A frame of the link breaks the rule ${f.rule}`,
    wayOut: "Check what connects to the relay's port; report it if both ends are Godwit.",
  },
  LINK_BUSY: {
    http: 409,
    exit: 4,
    retry: true,
    say: (f) => `The target relay at ${f.address} carries another migration`,
    wayOut: "Wait until it ends, or start a second relay on another port.",
  },
  ABORTED_BY_PEER: {
    http: 502,
    exit: 4,
    retry: false,
    say: (f) => `The other side ended the migration: ${f.reason}`,
    wayOut: "See the report of the other side; the guest goes on where it ran.",
  },
  STREAM_INVALID: {
    http: 502,
    exit: 4,
    retry: false,
    say: (f) => `QEMU's stream breaks the rule ${f.rule} at byte ${f.atByte}`,
    wayOut: "Capture the stream and look at it with `godwit dump`.",
  },
  STREAM_NOT_QEMU: {
    http: 400,
    exit: 4,
    retry: false,
    say: (f) => `What connected is not a migrating QEMU; it began with ${f.firstBytes}`,
    wayOut: "Point QEMU's migrate command at this socket, and nothing else.",
  },
  DIGEST_MISMATCH: {
    http: 500,
    exit: 4,
    retry: true,
    say: (f) => `Memory differs after ${f.pages} pages: digest ${f.source} at the source, ${f.target} at the target`,
    wayOut: "The guest goes on at the source. Please report this with both reports attached.",
  },
  SOURCE_QEMU_GONE: {
    http: 502,
    exit: 4,
    retry: false,
    say: (f) => `The source QEMU closed its connection during ${f.phase}`,
    wayOut: "See QEMU's own error: `query-migrate` on the source, or its log.",
  },
  TARGET_QEMU_GONE: {
    http: 502,
    exit: 4,
    retry: true,
    say: (f) => `The target QEMU closed its connection during ${f.phase}`,
    wayOut: "See the target QEMU's log; most often its machine differs from the source's.",
  },
  REPORT_NOT_WRITTEN: {
    http: 500,
    exit: 0,
    retry: false,
    say: (f) => `The report could not be written to ${f.path}: ${f.reason}`,
    wayOut: "The migration itself is not affected. Free space or give another path.",
  },
};
