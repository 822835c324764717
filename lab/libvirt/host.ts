import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { failure, run } from "./command.ts";

/** Debian's user for QEMU under libvirt, which libvirt insists on even where it is not used. */
const QEMU_USER = { name: "libvirt-qemu", id: 64055 };
const START_MS = 60_000;
/** Where both hosts have the migration's socket and the guest's console: one path, two places. */
export const HOST_FOLDER = "/run/godwit";

export interface HostOptions {
  readonly name: string;
  /** A new folder for everything of this host. */
  readonly folder: string;
  /**
   * Who QEMU is: Debian's unprivileged user, or root with its capabilities, which a target of post-copy needs where
   * the sysctl vm.unprivileged_userfaultfd is 0.
   */
  readonly qemuUser: "libvirt-qemu" | "root";
  readonly signal: AbortSignal;
}

/**
 * One libvirt host: a libvirtd in namespaces of its own, with private configuration, state and sockets. Not a sandbox:
 * the network and all other files are this system's.
 */
export class LibvirtHost {
  readonly name: string;
  readonly folder: string;
  /** What virsh connects to, also from outside and from the other host. */
  readonly uri: string;
  readonly #signal: AbortSignal;
  readonly #first: ChildProcess;

  private constructor(options: HostOptions) {
    this.name = options.name;
    this.folder = options.folder;
    this.uri = `qemu+unix:///system?socket=${this.folder}/api/libvirt-sock`;
    this.#signal = options.signal;
    const namespaces = [
      "--mount",
      "--propagation=private",
      "--uts",
      "--pid",
      "--fork",
      "--kill-child",
      "--mount-proc",
    ];
    const script = join(import.meta.dirname, "host.sh");
    this.#first = spawn("unshare", [...namespaces, "bash", script, this.folder, this.name], {
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    });
    this.#first.stdin!.on("error", () => undefined); // it has ended: `close` sees that
  }

  /** Starts the host; resolves when its libvirtd answers. @throws COMMAND_FAILED, the signal's reason */
  static async start(options: HostOptions): Promise<LibvirtHost> {
    writeFiles(options);
    const host = new LibvirtHost(options);
    try {
      await host.#ready();
      await host.#startLibvirtd();
    } catch (error) {
      await host.close();
      throw error;
    }
    return host;
  }

  /** Where a path of the host's own folders is seen from outside. */
  outside(path: string): string {
    return join(this.folder, "root", path);
  }

  /** The command line that runs `command` on this host. */
  argv(command: readonly string[]): string[] {
    const of = (kind: string) => `/proc/${this.#first.pid}/ns/${kind}`;
    const spaces = [`--mount=${of("mnt")}`, `--uts=${of("uts")}`, `--pid=${of("pid_for_children")}`];
    return ["nsenter", ...spaces, "--", ...command];
  }

  /** The command line of virsh against this host. */
  virsh(...args: string[]): string[] {
    return ["virsh", "--quiet", "-c", this.uri, ...args];
  }

  /** The domain's state, or null when this host does not have it. */
  async domainState(domain: string): Promise<string | null> {
    const { exitCode, stdout } = await run(this.virsh("domstate", domain), this.#signal);
    return exitCode === 0 ? stdout.trim() : null;
  }

  /** The last lines of libvirt's and QEMU's logs. */
  logs(domain: string): string {
    const files = [join(this.folder, "libvirtd.log"), this.outside(`var/log/libvirt/qemu/${domain}.log`)];
    return files
      .map((file) => {
        try {
          return `${file}\n${readFileSync(file, "utf8").trim().split("\n").slice(-8).join("\n")}`;
        } catch {
          return `${file}: none`;
        }
      })
      .join("\n");
  }

  /** Ends every process of the host, and with the last of them its mounts. */
  async close(): Promise<void> {
    const { exitCode, signalCode } = this.#first;
    if (exitCode !== null || signalCode !== null) return;
    const gone = once(this.#first, "exit");
    this.#first.stdin!.end();
    await gone;
  }

  async #ready(): Promise<void> {
    const said = await Promise.race([once(this.#first.stdout!, "data"), once(this.#first, "exit")]);
    if (String(said[0]) !== "ready\n")
      throw failure(["unshare", "host.sh"], this.#first.exitCode, "it could not make the host's namespaces");
  }

  async #startLibvirtd(): Promise<void> {
    const log = openSync(join(this.folder, "libvirtd.out"), "w");
    const config = ["-f", join(this.folder, "libvirtd.conf"), "-p", join(this.folder, "libvirtd.pid")];
    const [program, ...args] = this.argv(["libvirtd", ...config]);
    const daemon = spawn(program!, args, { stdio: ["ignore", log, log], detached: true });
    const deadlineMs = performance.now() + START_MS;
    for (;;) {
      const { exitCode, stderr } = await run(this.virsh("version"), this.#signal);
      if (exitCode === 0) return;
      if (daemon.exitCode !== null || performance.now() > deadlineMs)
        throw failure(["libvirtd", ...config], daemon.exitCode, `${stderr.trim()}\n${this.logs("lab")}`);
      await sleep(100, undefined, { signal: this.#signal });
    }
  }
}

function writeFiles({ name, folder, qemuUser }: HostOptions): void {
  const root = join(folder, "root");
  for (const path of [
    "api",
    "root/run",
    "root/var/lib",
    "root/var/log",
    "root/var/cache",
    "root/etc/libvirt",
  ])
    mkdirSync(join(folder, path), { recursive: true });
  mkdirSync(join(root, HOST_FOLDER));
  // QEMU makes the migration's socket here when it is the target.
  chownSync(join(root, HOST_FOLDER), QEMU_USER.id, QEMU_USER.id);
  chmodSync(join(root, HOST_FOLDER), 0o770);
  for (const file of ["passwd", "group"]) copyFileSync(join("/etc", file), join(root, "etc", file));
  const { id } = QEMU_USER;
  appendUnlessThere(
    join(root, "etc/passwd"),
    QEMU_USER.name,
    `x:${id}:${id}::/var/lib/libvirt:/usr/sbin/nologin`,
  );
  appendUnlessThere(join(root, "etc/group"), QEMU_USER.name, `x:${id}:`);
  appendUnlessThere(join(root, "etc/group"), "kvm", `x:${id - 1}:`);
  // Without its own name here each look-up of it waits for DNS.
  writeFileSync(join(root, "etc/hosts"), `127.0.0.1 localhost ${name}\n`);
  writeFileSync(
    join(folder, "libvirtd.conf"),
    `unix_sock_dir = "${folder}/api"
unix_sock_group = "root"
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "${randomUUID()}"
log_outputs = "3:file:${folder}/libvirtd.log"
`,
  );
  const capabilities = qemuUser === "root" ? "clear_emulator_capabilities = 0\n" : "";
  writeFileSync(
    join(root, "etc/libvirt/qemu.conf"),
    `user = "${qemuUser}"
group = "${qemuUser}"
${capabilities}security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
`,
  );
}

function appendUnlessThere(file: string, name: string, rest: string): void {
  const text = readFileSync(file, "utf8");
  if (!new RegExp(`^${name}:`, "m").test(text)) writeFileSync(file, `${text.trimEnd()}\n${name}:${rest}\n`);
}
