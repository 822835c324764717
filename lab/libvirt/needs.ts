import { tmpdir } from "node:os";
import { GodwitError } from "../../src/errors/mod.ts";
import { installPackages } from "../setup/apt.ts";
import { onPath } from "../setup/exec.ts";

/** Each program with Debian's package of it. */
const PROGRAMS = {
  unshare: "util-linux",
  nsenter: "util-linux",
  "qemu-system-x86_64": "qemu-system-x86",
  virsh: "libvirt-clients",
  libvirtd: "libvirt-daemon",
} as const;
/** A driver is a library that libvirtd loads, so there is no program to look for. */
const DRIVER = "libvirt-daemon-driver-qemu";
/** What a lab host covers with folders of its own. */
const COVERED = ["/run", "/var/run", "/var/lib", "/var/log", "/var/cache", "/etc/libvirt"];

/**
 * Makes sure that this system can have two libvirt hosts.
 *
 * libvirt-daemon-system, which would start services, is not among the packages.
 * @param options.install  get what is missing with apt-get
 * @throws SETUP_NEEDS naming what is missing
 */
export async function checkNeeds(options: { readonly install: boolean }): Promise<void> {
  if (process.getuid?.() !== 0) throw new GodwitError("SETUP_NEEDS", { what: "root, for mount namespaces" });
  for (const path of [import.meta.dirname, tmpdir()]) {
    const cover = COVERED.find((folder) => `${path}/`.startsWith(`${folder}/`));
    if (cover !== undefined)
      throw new GodwitError("SETUP_NEEDS", {
        what: `a place outside ${cover}, which lab hosts cover, for ${path}`,
      });
  }
  const missing = Object.keys(PROGRAMS).filter((program) => !onPath(program));
  if (missing.length === 0) return;
  const wanted = missing.map((program) => PROGRAMS[program as keyof typeof PROGRAMS]);
  const packages = [...new Set([...wanted, DRIVER])];
  if (!options.install) {
    const how = `on Debian: give --install, or apt-get install --no-install-recommends ${packages.join(" ")}`;
    throw new GodwitError("SETUP_NEEDS", { what: `${missing.join(", ")} (${how})` });
  }
  await installPackages(packages, "libvirt, to move a guest with virsh; none of these starts a service");
}
