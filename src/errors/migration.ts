/** Part of the table of errors (table.ts): refusals before a migration, and how it can end. */
import type { AboutError } from "./about.ts";

export interface MigrationFields {
  PEER_UNREACHABLE: { address: string; reason: string };
  PEER_ABSENT: { host: string };
  TARGET_DIFFERS: { what: string; source: string; target: string };
  TARGET_NO_ROOM: { host: string; needBytes: number; freeBytes: number };
  POSTCOPY_UNAVAILABLE: { host: string; reason: string };
  CANCELLED: Record<never, never>;
  MIGRATION_TIMEOUT: Record<never, never>;
  NOT_PROVEN: Record<never, never>;
  RELAY_ENDED: { side: string; reason: string };
  RELAY_PORTS_TAKEN: { host: string; min: number; max: number };
  QEMU_MIGRATION_FAILED: { status: string; reason: string };
  SOURCE_ABSENT: Record<never, never>;
  SOURCE_STUCK: { vm: string; reason: string };
  TARGET_DISCARDED: Record<never, never>;
  POSTCOPY_LINK_DROPPED: Record<never, never>;
  POSTCOPY_NO_CANCEL: Record<never, never>;
  GUEST_MEMORY_CLOSED: { pid: number; reason: string };
  POSTCOPY_LOST: Record<never, never>;
  IN_DOUBT: Record<never, never>;
  ORDER_TOO_LATE: { order: string; phase: string };
  AGENT_RESTARTED: { host: string; phase: string };
  RESUMED_BY_ORDER: { vm: string; phase: string; fenced: boolean };
  GIVEN_UP: { vm: string; phase: string; fenced: boolean };
  RECOVERY_REFUSED: { id: string; action: string; why: string };
  RECOVERY_NEEDS_FENCE: { id: string; action: string; why: string };
  STATE_NOT_WRITTEN: { reason: string };
  BASE_LOST: { page: number };
  POSTCOPY_ACCOUNT: { problem: string };
}

export const ABOUT_MIGRATION: { readonly [C in keyof MigrationFields]: AboutError<MigrationFields[C]> } = {
  PEER_UNREACHABLE: {
    http: 502,
    exit: 3,
    retry: true,
    say: (f) => `No agent answers at ${f.address}: ${f.reason}`,
    wayOut: "Start `godwit agent run --peer HOST:PORT` there, and check address and firewall.",
  },
  PEER_ABSENT: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) => `The agent of ${f.host} takes no VMs: it was started without --peer`,
    wayOut: "Start it with --peer HOST:PORT.",
  },
  TARGET_DIFFERS: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) =>
      `The target cannot run this VM: ${f.what} is ${f.source} at the source and ${f.target} at the target`,
    wayOut: "Choose a target that has it, or start the VM with what both hosts have.",
  },
  TARGET_NO_ROOM: {
    http: 409,
    exit: 3,
    retry: true,
    say: (f) => `${f.host} has ${f.freeBytes} bytes of memory free, the VM needs ${f.needBytes}`,
    wayOut: "Free memory there, or choose another target.",
  },
  POSTCOPY_UNAVAILABLE: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) => `${f.host} cannot take part in post-copy: ${f.reason}`,
    wayOut:
      "Allow userfaultfd there: sysctl vm.unprivileged_userfaultfd=1, or CAP_SYS_PTRACE (root has it), or for QEMU 8 and newer permission on /dev/userfaultfd; `godwit doctor` says what is missing. Or migrate with --strategy precopy.",
  },
  CANCELLED: {
    http: 409,
    exit: 4,
    retry: true,
    say: () => "The migration was cancelled; the guest runs at the source",
    wayOut: "Migrate again whenever it suits.",
  },
  MIGRATION_TIMEOUT: {
    http: 504,
    exit: 4,
    retry: true,
    say: () => "The migration did not end in its time; the guest runs at the source",
    wayOut: "Give more time or bandwidth, or --on-timeout stop or postcopy.",
  },
  NOT_PROVEN: {
    http: 500,
    exit: 4,
    retry: true,
    say: () => "It was not proven that both sides hold the same memory, so the target was not started",
    wayOut: "See the relays' errors in the agents' logs. The guest goes on at the source.",
  },
  RELAY_ENDED: {
    http: 502,
    exit: 4,
    retry: true,
    say: (f) => `The ${f.side} relay ended too early: ${f.reason}`,
    wayOut: "See the agent's log of that host; the migration can be tried again.",
  },
  RELAY_PORTS_TAKEN: {
    http: 503,
    exit: 3,
    retry: true,
    say: (f) => `All ports for relays of ${f.host}, ${f.min} to ${f.max}, are in use`,
    wayOut: "Wait for a move to end, or start the target's agent with a wider range of --relay-ports.",
  },
  QEMU_MIGRATION_FAILED: {
    http: 502,
    exit: 4,
    retry: true,
    say: (f) => `The source QEMU calls its migration ${f.status}: ${f.reason}`,
    wayOut: "See QEMU's log on both hosts; the guest goes on at the source.",
  },
  SOURCE_ABSENT: {
    http: 504,
    exit: 4,
    retry: true,
    say: () => "No source relay connected in time, so the target was ended",
    wayOut: "Check that the source host reaches the target's relay port.",
  },
  SOURCE_STUCK: {
    http: 500,
    exit: 5,
    retry: false,
    say: (f) => `The migration was undone, but ${f.vm} could not be continued at the source: ${f.reason}`,
    wayOut: "Its QEMU still holds the guest: look at `vm show`, and try QMP `cont` there.",
  },
  TARGET_DISCARDED: {
    http: 502,
    exit: 4,
    retry: true,
    say: () => "The target gave its copy up before it ran; the guest goes on at the source",
    wayOut: "See the target agent's log, then migrate again.",
  },
  POSTCOPY_LINK_DROPPED: {
    http: 409,
    exit: 3,
    retry: false,
    say: () =>
      "The link was lost during this move: in post-copy the guest would stand still for as long as that lasts",
    wayOut: "The move goes on as pre-copy. To have post-copy all the same, order it with --force-postcopy.",
  },
  GUEST_MEMORY_CLOSED: {
    http: 500,
    exit: 5,
    retry: false,
    say: (f) => `The memory of QEMU's process ${f.pid} cannot be read: ${f.reason}`,
    wayOut:
      "Run Godwit as QEMU's user with sysctl kernel.yama.ptrace_scope=0, as root, or with the capability CAP_SYS_PTRACE.",
  },
  POSTCOPY_NO_CANCEL: {
    http: 409,
    exit: 3,
    retry: false,
    say: () =>
      "In post-copy nothing can be undone: the guest runs at the target, with what it has written there",
    wayOut:
      "Wait: a lost link is tried again, `godwit watch` says since when. To give the guest up, end its QEMU's process at the target (`vm show` there has its pid).",
  },
  POSTCOPY_LOST: {
    http: 500,
    exit: 5,
    retry: false,
    say: () => "The target was running and will never get the pages that are missing there",
    wayOut:
      "The source QEMU is left as it stood at the switchover; `godwit recover` there shows what may be done.",
  },
  IN_DOUBT: {
    http: 504,
    exit: 5,
    retry: true,
    say: () => "The target agent has not answered the commit; the source stays stopped until it does",
    wayOut:
      "Bring the target agent back: the source asks it again by itself. If it never comes back: `godwit recover`. Start neither guest by hand.",
  },
  ORDER_TOO_LATE: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) => `${f.order} is not possible in the phase ${f.phase}`,
    wayOut: "Wait for the end of the migration; see docs/states.md.",
  },
  AGENT_RESTARTED: {
    http: 503,
    exit: 4,
    retry: true,
    say: (f) => `The agent of ${f.host} ended during the phase ${f.phase} of this migration`,
    wayOut: "The agent that was started after it has undone the migration: migrate again.",
  },
  RESUMED_BY_ORDER: {
    http: 409,
    exit: 4,
    retry: false,
    say: (f) => `${f.vm} was made to run here by order, out of the phase ${f.phase}${byOrder(f.fenced)}`,
    wayOut: "Never start what is left of it at the other host: discard it there.",
  },
  GIVEN_UP: {
    http: 409,
    exit: 5,
    retry: false,
    say: (f) => `What ${f.vm} was here, in the phase ${f.phase}, was given up by order${byOrder(f.fenced)}`,
    wayOut: "See what is left of it at the other host: `godwit recover` there.",
  },
  RECOVERY_REFUSED: {
    http: 409,
    exit: 3,
    retry: false,
    say: (f) => `${f.id}: ${f.action} is refused. ${f.why}`,
    wayOut: "`godwit recover` shows what may be done, on each of the two hosts.",
  },
  RECOVERY_NEEDS_FENCE: {
    http: 409,
    exit: 5,
    retry: false,
    say: (f) => `${f.id}: ${f.action} could make the guest run twice, or lose it. ${f.why}`,
    wayOut:
      "Bring the other agent back: the two settle it. If its host is gone for good, make sure of that (power it off), then say so: --other-host-is-fenced.",
  },
  STATE_NOT_WRITTEN: {
    http: 507,
    exit: 4,
    retry: true,
    say: (f) => `The migration's state could not be recorded, so nothing irrevocable was done: ${f.reason}`,
    wayOut: "Free space below the agent's state dir, then migrate again.",
  },
  BASE_LOST: {
    http: 502,
    exit: 4,
    retry: true,
    say: (f) =>
      `The target lacks page ${f.page}, which the source relay has sent and keeps no copy of any more`,
    wayOut: "Migrate again; with --engine plain nothing is sent that leans on an earlier page.",
  },
  POSTCOPY_ACCOUNT: {
    http: 502,
    exit: 5,
    retry: false,
    say: (f) => `The source QEMU's pages in post-copy are not those that it announced: ${f.problem}`,
    wayOut: "Keep both QEMUs; report it. --pool 0B leaves post-copy to QEMU.",
  },
};

function byOrder(fenced: boolean): string {
  return fenced ? "; the other host was said to be fenced" : "";
}
