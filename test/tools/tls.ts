/** Certificates for tests: made as users make them, in a temporary folder. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Identity, issue, makeAuthority } from "../../src/trust/mod.ts";

const DAY_MS = 86_400_000;

export interface Wanted {
  readonly peers?: readonly string[];
  readonly kind?: Identity["kind"];
  /** Signed by an authority that nobody knows; it trusts the one that everybody knows. */
  readonly stranger?: boolean;
  /** It ended yesterday. */
  readonly expired?: boolean;
  /** Where; of two of one name the second renews the first. */
  readonly as?: string;
}

/** An authority, another that nobody trusts, and the folders of hosts. */
export class TestPki implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "gw-pki-"));
  readonly #made = new Set<string>();

  /** The TLS folder of a host: signed by the one authority and in its time, unless it is to be otherwise. */
  async host(name: string, wanted: Wanted = {}): Promise<string> {
    const { peers = ["*"], kind = "host", stranger = false, expired = false } = wanted;
    const folder = join(this.#folder, wanted.as ?? name);
    const from = expired ? { from: new Date(Date.now() - 2 * DAY_MS), days: 1 } : { days: 1 };
    const authority = await this.#authority(stranger ? "strangers" : "authority");
    await issue({ authority, identity: { kind, name }, folder, peers, ...from });
    if (stranger) copyFileSync(join(await this.#authority("authority"), "ca.pem"), join(folder, "ca.pem"));
    return folder;
  }

  /** Whom a host speaks to from now on. */
  setPeers(folder: string, ...names: string[]): void {
    writeFileSync(join(folder, "peers"), `${names.join("\n")}\n`);
  }

  async #authority(name: string): Promise<string> {
    const folder = join(this.#folder, name);
    if (this.#made.has(name)) return folder;
    this.#made.add(name);
    await makeAuthority({ folder, name, days: 2 });
    return folder;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
