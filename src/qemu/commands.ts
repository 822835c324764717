/**
 * The QMP commands that Godwit uses: arguments and answers, as far as we read them.
 * Source: qapi/*.json ("QEMU QMP Reference Manual"). A field that only newer versions have is optional.
 */

export type RunState =
  | "running"
  | "paused"
  | "inmigrate"
  | "postmigrate"
  | "finish-migrate"
  | "prelaunch"
  | "shutdown"
  | "suspended"
  | "internal-error"
  | (string & {});

export interface QemuVersion {
  readonly qemu: { readonly major: number; readonly minor: number; readonly micro: number };
  readonly package: string;
}

export type MigrationStatus =
  | "none"
  | "setup"
  | "cancelling"
  | "cancelled"
  | "active"
  | "postcopy-active"
  | "postcopy-paused"
  | "postcopy-recover-setup"
  | "postcopy-recover"
  | "completed"
  | "failed"
  | "colo"
  | "pre-switchover"
  | "device"
  | "wait-unplug";

/** `query-migrate` -> `ram`. Bytes are what left QEMU, not what reached the other host. */
export interface MigrationRam {
  readonly transferred: number;
  readonly remaining: number;
  readonly total: number;
  /** Pages sent as one byte (zero pages). */
  readonly duplicate: number;
  readonly normal: number;
  readonly "normal-bytes": number;
  readonly "dirty-pages-rate": number;
  readonly mbps: number;
  /** The pass; the same number as in MIGRATION_PASS. */
  readonly "dirty-sync-count": number;
  readonly "postcopy-requests": number;
  readonly "page-size": number;
  readonly "pages-per-second": number;
  readonly "precopy-bytes"?: number;
  readonly "downtime-bytes"?: number;
  readonly "postcopy-bytes"?: number;
}

/** Everything is absent before the first migration; `ram` also when it failed early. */
export interface MigrationInfo {
  readonly status?: MigrationStatus;
  readonly ram?: MigrationRam;
  readonly "total-time"?: number;
  readonly "setup-time"?: number;
  readonly downtime?: number;
  readonly "expected-downtime"?: number;
  readonly "error-desc"?: string;
  readonly "blocked-reasons"?: readonly string[];
}

export interface MachineInfo {
  readonly name: string;
  readonly alias?: string;
  readonly "is-default"?: boolean;
  readonly "cpu-max": number;
  readonly deprecated: boolean;
}

export interface CpuDefinition {
  readonly name: string;
  /** Empty: this model runs here as it is. Absent: unknown. */
  readonly "unavailable-features"?: readonly string[];
  readonly "migration-safe"?: boolean;
  readonly "alias-of"?: string;
}

export interface ChardevInfo {
  readonly label: string;
  readonly filename: string;
  readonly "frontend-open": boolean;
}

export interface BlockInfo {
  readonly device: string;
  readonly inserted?: { readonly file: string; readonly ro: boolean; readonly "node-name"?: string };
}

export interface QomProperty {
  readonly name: string;
  readonly type: string;
}

/** Lower case letters and dashes, as in QMP; values as QMP takes them. */
export type MigrationParameters = Readonly<Record<string, number | string | boolean>>;

type None = Record<string, never>;
type Empty = Readonly<Record<string, never>>;

/** Command name -> its arguments and its answer. */
export interface QmpCommands {
  "query-version": { args: None; answer: QemuVersion };
  "query-status": { args: None; answer: { readonly status: RunState; readonly running: boolean } };
  "query-name": { args: None; answer: { readonly name?: string } };
  "query-uuid": { args: None; answer: { readonly UUID: string } };
  "query-kvm": { args: None; answer: { readonly enabled: boolean; readonly present: boolean } };
  "query-machines": { args: None; answer: readonly MachineInfo[] };
  "query-cpu-definitions": { args: None; answer: readonly CpuDefinition[] };
  "query-cpu-model-expansion": {
    args: { type: "static" | "full"; model: { name: string; props?: Record<string, unknown> } };
    answer: { readonly model: { readonly name: string; readonly props?: Record<string, unknown> } };
  };
  "query-cpus-fast": {
    args: None;
    answer: readonly {
      readonly "cpu-index": number;
      readonly "qom-path": string;
      readonly "thread-id": number;
    }[];
  };
  "query-memory-size-summary": {
    args: None;
    answer: { readonly "base-memory": number; readonly "plugged-memory"?: number };
  };
  "query-chardev": { args: None; answer: readonly ChardevInfo[] };
  "query-block": { args: None; answer: readonly BlockInfo[] };
  "query-qmp-schema": { args: None; answer: readonly Record<string, unknown>[] };
  "query-migrate": { args: None; answer: MigrationInfo };
  "query-migrate-capabilities": {
    args: None;
    answer: readonly { readonly capability: string; readonly state: boolean }[];
  };
  "query-migrate-parameters": { args: None; answer: MigrationParameters };
  "migrate-set-capabilities": {
    args: { capabilities: readonly { capability: string; state: boolean }[] };
    answer: Empty;
  };
  "migrate-set-parameters": { args: MigrationParameters; answer: Empty };
  migrate: { args: { uri: string; resume?: boolean; detach?: boolean }; answer: Empty };
  "migrate-incoming": { args: { uri: string }; answer: Empty };
  "migrate-start-postcopy": { args: None; answer: Empty };
  "migrate-continue": { args: { state: MigrationStatus }; answer: Empty };
  "migrate-recover": { args: { uri: string }; answer: Empty };
  "migrate-pause": { args: None; answer: Empty };
  migrate_cancel: { args: None; answer: Empty };
  stop: { args: None; answer: Empty };
  cont: { args: None; answer: Empty };
  quit: { args: None; answer: Empty };
  system_powerdown: { args: None; answer: Empty };
  yank: {
    args: { instances: readonly { type: string; "node-name"?: string; id?: string }[] };
    answer: Empty;
  };
  "qom-get": { args: { path: string; property: string }; answer: unknown };
  "qom-set": { args: { path: string; property: string; value: unknown }; answer: Empty };
  "qom-list": { args: { path: string }; answer: readonly QomProperty[] };
  /** RAM that the guest shall have, bytes. */
  balloon: { args: { value: number }; answer: Empty };
  "query-balloon": { args: None; answer: { readonly actual: number } };
  "human-monitor-command": { args: { "command-line": string }; answer: string };
}

export type CommandName = keyof QmpCommands;
export type CommandArgs<C extends CommandName> = QmpCommands[C]["args"];
export type CommandAnswer<C extends CommandName> = QmpCommands[C]["answer"];

/** One QMP event. `timestampMs` is QEMU's own wall clock, with fractions; `data` is as QEMU sent it. */
export interface QmpEvent {
  readonly event: string;
  readonly timestampMs: number;
  /** `performance.now()` when we read it. */
  readonly readAtMs: number;
  readonly data: Readonly<Record<string, unknown>>;
}
