/**
 * Every expected failure, once: its data, its sentence, the way out, the HTTP status and the exit code.
 * docs/errors.md is generated from this table.
 */

import type { AboutError } from "./about.ts";
import { ABOUT_BENCH, type BenchFields } from "./bench.ts";
import { ABOUT_MIGRATION, type MigrationFields } from "./migration.ts";
import { ABOUT_TRUST, type TrustFields } from "./trust.ts";

/** Exit codes of every command. */
export const EXIT = { done: 0, bug: 1, usage: 2, refused: 3, aborted: 4, inDoubt: 5 } as const;

export interface Fields extends MigrationFields, BenchFields, TrustFields {
  USAGE: { problem: string };
  PEER_ERROR: { code: string; message: string };
  KERNELS_MISSING: { path: string };
  // Set-up and lab
  SETUP_MISSING: { path: string };
  SETUP_NEEDS: { what: string };
  SETUP_FAILED: { command: string; reason: string };
  COMMAND_FAILED: { command: string; exitCode: number | null; reason: string };
  GUEST_CORRUPT: { vm: string; host: string; line: string };
  GUEST_SILENT: { vm: string; host: string; status: string; afterMs: number };
  // Relay and link
  SOCKET_TAKEN: { path: string };
  SOCKET_NOT_ONE: { path: string };
  SOCKET_FOLDER_MISSING: { path: string };
  FORWARD_MISSING: { path: string; reason: string };
  LINK_UNREACHABLE: { address: string; reason: string };
  LINK_LOST: { address: string; afterMs: number };
  LINK_VERSION: { ours: string; theirs: string };
  LINK_INSECURE: { address: string };
  LINK_FRAME: { rule: string };
  LINK_BUSY: { address: string };
  LINK_PORT: { address: string; reason: string };
  LINK_FORGOTTEN: { address: string };
  ABORTED_BY_PEER: { reason: string };
  STREAM_INVALID: { rule: string; atByte: number; why?: string };
  STREAM_NOT_QEMU: { firstBytes: string };
  DIGEST_MISMATCH: { pages: number; source: string; target: string };
  SOURCE_QEMU_GONE: { phase: string };
  TARGET_QEMU_GONE: { phase: string };
  TARGET_LOAD_FAILED: { status: number };
  POSTCOPY_PREEMPT: Record<never, never>;
  POSTCOPY_INTERRUPTED: { why: string };
  SWITCHOVER_IN_DOUBT: { why: string };
  INTERRUPTED: { signal: string };
  REPORT_NOT_WRITTEN: { path: string; reason: string };
  FILE_UNREADABLE: { path: string; reason: string };
  FILE_NOT_STREAM: { path: string; firstBytes: string };
  // QEMU and its monitor
  QMP_TIMEOUT: { command: string; timeoutMs: number };
  QMP_CLOSED: { monitor: string; reason: string };
  QMP_ERROR: { command: string; class: string; desc: string };
  QMP_UNREACHABLE: { path: string; reason: string };
  QEMU_MISSING: { binary: string; reason: string };
  QEMU_START_FAILED: { vm: string; qemuSays: string };
  QEMU_NO_EXIT: { vm: string; pid: number };
  KVM_UNUSABLE: { reason: string };
  MACHINE_UNKNOWN: { machine: string; qemu: string };
  // VMs of an agent
  SPEC_INVALID: { problem: string };
  VM_EXISTS: { vm: string };
  VM_UNKNOWN: { vm: string; host: string };
  VM_BUSY: { vm: string; with: string };
  VM_NOT_MOVABLE: { vm: string; reason: string };
  BALLOON_MISSING: { vm: string };
  BALLOON_SILENT: { vm: string; afterMs: number };
  // Agent
  PATH_TOO_LONG: { path: string; bytes: number; bytesMax: number };
  PATH_UNSAFE: { path: string; reason: string };
  AGENT_UNREACHABLE: { path: string; reason: string };
  FORBIDDEN: { order: string; need: string; have: string };
  TOO_MANY: { what: string; max: string };
  AUDIT_BROKEN: { seq: number; problem: string };
  AGENT_RUNNING: { stateDir: string };
  MIGRATION_UNKNOWN: { id: string; host: string };
}

export type ErrorCode = keyof Fields;

export type About<C extends ErrorCode> = AboutError<Fields[C]>;

export const ABOUT: { readonly [C in ErrorCode]: About<C> } = {
  ...ABOUT_MIGRATION,
  ...ABOUT_BENCH,
  ...ABOUT_TRUST,
  USAGE: { http: 400, exit: 2, retry: false, say: (f) => f.problem, wayOut: "See the command's --help." },
  PEER_ERROR: {
    http: 502,
    exit: 4,
    retry: false,
    say: (f) => `The other side failed with ${f.code}: ${f.message}`,
    wayOut: "Look the code up in the documentation of the version that runs there.",
  },
  KERNELS_MISSING: {
    http: 500,
    exit: 3,
    retry: false,
    say: (f) => `The compiled kernels are not at ${f.path}`,
    wayOut: "Run `npm run setup` in the checkout; a published package brings them along.",
  },
  SETUP_MISSING: {
    http: 500,
    exit: 3,
    retry: false,
    say: (f) => `Set-up has not run, or what it prepared is gone: ${f.path}`,
    wayOut: "Run `npm run setup` in the checkout.",
  },
  SETUP_NEEDS: {
    http: 500,
    exit: 3,
    retry: false,
    say: (f) => `This system does not have, and set-up cannot install here: ${f.what}`,
    wayOut: "Install it by the means of this system, then run the same command again.",
  },
  SETUP_FAILED: {
    http: 500,
    exit: 3,
    retry: true,
    say: (f) => `Set-up failed at \`${f.command}\`: ${f.reason}`,
    wayOut: "Mend what the message names and run the same command again; nothing half-done is ever used.",
  },
  COMMAND_FAILED: {
    http: 500,
    exit: 1,
    retry: false,
    say: (f) =>
      `\`${f.command}\` failed${f.exitCode === null ? "" : ` with exit code ${f.exitCode}`}: ${f.reason}`,
    wayOut: "Mend what the command named, and start again.",
  },
  GUEST_CORRUPT: {
    http: 500,
    exit: 1,
    retry: false,
    say: (f) => `${f.vm}'s own oracle, on ${f.host}, found memory that is not what it wrote: ${f.line}`,
    wayOut: "This must never happen: keep the output and report it as a bug, with the version of QEMU.",
  },
  GUEST_SILENT: {
    http: 504,
    exit: 1,
    retry: true,
    say: (f) =>
      `${f.vm} on ${f.host} (QEMU says: ${f.status}) ended no check of its memory within ${f.afterMs} ms`,
    wayOut: "On a slow or busy machine give it a smaller --ws or a lower --rate.",
  },
  SOCKET_TAKEN: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) => `Another process listens on ${f.path}`,
    wayOut: "Choose another path, or end the process that listens there.",
  },
  SOCKET_NOT_ONE: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) => `${f.path} exists and is no socket, so it is left alone`,
    wayOut: "Choose another path, or remove what is there.",
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
    wayOut:
      "Give --tls DIR (`godwit pki issue` makes one), or --insecure if the network between the hosts is trusted.",
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
  LINK_PORT: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) => `Cannot listen on ${f.address}: ${f.reason}`,
    wayOut: "Choose another address or port, or end the process that listens there.",
  },
  LINK_FORGOTTEN: {
    http: 502,
    exit: 4,
    retry: true,
    say: (f) => `The target relay at ${f.address} does not know this session any more`,
    wayOut: "It was restarted in the middle of the migration: see its log, then migrate again.",
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
    say: (f) => `QEMU's stream breaks the rule ${f.rule} at byte ${f.atByte}${f.why ? `: ${f.why}` : ""}`,
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
    say: (f) =>
      `Memory differs after ${f.pages} pages: digest ${f.source} at the source, ${f.target} at the target`,
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
  TARGET_LOAD_FAILED: {
    http: 502,
    exit: 4,
    retry: false,
    say: (f) => `The target QEMU could not load the guest (status ${f.status})`,
    wayOut: "See the target QEMU's log; most often its machine differs from the source's.",
  },
  POSTCOPY_PREEMPT: {
    http: 400,
    exit: 4,
    retry: true,
    say: () => "QEMU opened a second connection, as it does with the capability postcopy-preempt",
    wayOut: "Switch postcopy-preempt off at both QEMUs; the guest goes on at the source.",
  },
  POSTCOPY_INTERRUPTED: {
    http: 502,
    exit: 5,
    retry: false,
    say: (f) => `Post-copy was interrupted; the guest's memory is on both hosts: ${f.why}`,
    wayOut:
      "Keep both QEMUs. Recover the migration (migrate-recover, migrate with resume); never start the source.",
  },
  SWITCHOVER_IN_DOUBT: {
    http: 502,
    exit: 5,
    retry: false,
    say: (f) => `It is not known whether the target runs the guest: ${f.why}`,
    wayOut:
      "Look at the target. If it does not run, end it, then end this relay: the source goes on. Else end the source.",
  },
  INTERRUPTED: {
    http: 409,
    exit: 4,
    retry: true,
    say: (f) => `Ended by ${f.signal}`,
    wayOut: "The guest goes on at the source; start again when you like.",
  },
  REPORT_NOT_WRITTEN: {
    http: 500,
    exit: 0,
    retry: false,
    say: (f) => `The report could not be written to ${f.path}: ${f.reason}`,
    wayOut: "The migration itself is not affected. Free space or give another path.",
  },
  FILE_NOT_STREAM: {
    http: 400,
    exit: 4,
    retry: false,
    say: (f) => `${f.path} is no migration stream; it begins with ${f.firstBytes}`,
    wayOut: "Capture one with QEMU's own `migrate exec:cat>FILE`.",
  },
  FILE_UNREADABLE: {
    http: 400,
    exit: 2,
    retry: false,
    say: (f) => `${f.path} cannot be read: ${f.reason}`,
    wayOut: "Give the path of a file that you may read.",
  },
  QMP_TIMEOUT: {
    http: 504,
    exit: 4,
    retry: true,
    say: (f) => `QEMU gave no reply to ${f.command} within ${f.timeoutMs} ms`,
    wayOut: "The monitor hangs while QEMU writes its device state; look at the QEMU process if it lasts.",
  },
  QMP_CLOSED: {
    http: 502,
    exit: 4,
    retry: false,
    say: (f) => `The monitor ${f.monitor} closed: ${f.reason}`,
    wayOut: "QEMU has most likely ended; its log file says why.",
  },
  QMP_ERROR: {
    http: 502,
    exit: 4,
    retry: false,
    say: (f) => `QEMU refused ${f.command}: ${f.desc}`,
    wayOut: "The text is QEMU's own; look it up in the documentation of that QEMU version.",
  },
  QMP_UNREACHABLE: {
    http: 502,
    exit: 3,
    retry: true,
    say: (f) => `No QEMU monitor answers at ${f.path}: ${f.reason}`,
    wayOut: "Give the path of a `-qmp unix:PATH,server=on,wait=off` socket that nobody else is connected to.",
  },
  QEMU_MISSING: {
    http: 400,
    exit: 3,
    retry: false,
    say: (f) => `QEMU cannot be run as ${f.binary}: ${f.reason}`,
    wayOut: "Install qemu-system-x86 7.2 or newer, or name the binary in the VM's spec.",
  },
  QEMU_START_FAILED: {
    http: 502,
    exit: 3,
    retry: false,
    say: (f) => `QEMU did not start ${f.vm}: ${f.qemuSays}`,
    wayOut: "Correct what QEMU names in the VM's spec or on this host.",
  },
  QEMU_NO_EXIT: {
    http: 500,
    exit: 1,
    retry: true,
    say: (f) => `The QEMU of ${f.vm} (process ${f.pid}) does not end, not even after SIGKILL`,
    wayOut: "It waits in the kernel, most often for a disk or a network file system; mend that.",
  },
  KVM_UNUSABLE: {
    http: 400,
    exit: 3,
    retry: false,
    say: (f) => `KVM runs no guest on this host: ${f.reason}`,
    wayOut: "Give accel auto or tcg, or enable virtualisation; `godwit doctor` says more.",
  },
  MACHINE_UNKNOWN: {
    http: 400,
    exit: 3,
    retry: false,
    say: (f) => `QEMU ${f.qemu} has no machine type ${f.machine}`,
    wayOut: "Choose a versioned type that the QEMUs of both hosts have: `qemu-system-x86_64 -machine help`.",
  },
  SPEC_INVALID: {
    http: 400,
    exit: 2,
    retry: false,
    say: (f) => `The VM's spec is not valid: ${f.problem}`,
    wayOut: "See `godwit vm start --help` for the fields of a spec.",
  },
  VM_EXISTS: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) => `A VM named ${f.vm} is already there`,
    wayOut: "Choose another name, or stop that VM first.",
  },
  VM_UNKNOWN: {
    http: 404,
    exit: 3,
    retry: false,
    say: (f) => `The agent of ${f.host} has no VM named ${f.vm}`,
    wayOut: "See `godwit vm list`; a VM that was started elsewhere is taken over with `godwit vm adopt`.",
  },
  VM_BUSY: {
    http: 409,
    exit: 3,
    retry: true,
    say: (f) => `${f.vm} is busy with ${f.with}`,
    wayOut: "Wait until that ends, or cancel it.",
  },
  VM_NOT_MOVABLE: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) => `${f.vm} cannot be moved: ${f.reason}`,
    wayOut: "Remove what is named from the VM, or move it with its own tools.",
  },
  BALLOON_MISSING: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) => `${f.vm} has no memory balloon`,
    wayOut: 'Start the VM with "balloon": true in its spec, or move it without --balloon.',
  },
  BALLOON_SILENT: {
    http: 504,
    exit: 4,
    retry: true,
    say: (f) => `The balloon driver of ${f.vm} did not say within ${f.afterMs} ms how the guest fares`,
    wayOut: "The guest needs the driver virtio_balloon, loaded; or move it without --balloon.",
  },
  PATH_TOO_LONG: {
    http: 400,
    exit: 3,
    retry: false,
    say: (f) => `The socket path ${f.path} has ${f.bytes} bytes; the system takes at most ${f.bytesMax}`,
    wayOut: "Give a shorter --state-dir or --socket, or a shorter VM name.",
  },
  PATH_UNSAFE: {
    http: 400,
    exit: 3,
    retry: false,
    say: (f) => `${f.path} is not safe to use: ${f.reason}`,
    wayOut: "It must be owned by the user of the agent, closed to others, and no symbolic link.",
  },
  AGENT_UNREACHABLE: {
    http: 502,
    exit: 3,
    retry: true,
    say: (f) => `No agent answers at ${f.path}: ${f.reason}`,
    wayOut: "Start one with `godwit agent run`, or name its socket with --socket or GODWIT_SOCKET.",
  },
  FORBIDDEN: {
    http: 403,
    exit: 3,
    retry: false,
    say: (f) => `${f.order} needs the role ${f.need}, and this is ${f.have}`,
    wayOut: "Use a certificate with that role, or the agent's own socket on its host.",
  },
  TOO_MANY: {
    http: 429,
    exit: 3,
    retry: true,
    say: (f) => `Too many ${f.what}: the agent takes ${f.max}`,
    wayOut: "Wait a moment and ask again; what runs already is not affected.",
  },
  AUDIT_BROKEN: {
    http: 500,
    exit: 3,
    retry: false,
    say: (f) => `The audit log was changed from outside: at entry ${f.seq} ${f.problem}`,
    wayOut:
      "Entries before it can be trusted, later ones cannot. Find out who could write to the state folder.",
  },
  AGENT_RUNNING: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) => `Another agent already uses ${f.stateDir}`,
    wayOut: "Use that agent, end it, or give this one its own --state-dir.",
  },
  MIGRATION_UNKNOWN: {
    http: 404,
    exit: 3,
    retry: false,
    say: (f) => `The agent of ${f.host} knows no migration ${f.id}`,
    wayOut: "See `godwit history` and `godwit status`.",
  },
};
