import { createHash, randomUUID } from "node:crypto";
import { GodwitError } from "../errors/mod.ts";
import { kvmVerdict } from "./accel.ts";
import { DEFAULT_QEMU, probeQemu, type QemuCommand, type QemuFacts, resolveMachine } from "./probe.ts";
import { formatSize } from "./size.ts";
import { memoryBytesOf, type ResolvedSpec, type VmSpec } from "./spec.ts";
import { safeMemoryBytes } from "./tcgMemory.ts";

/** Every QEMU that we support runs it under TCG as it is, so that a guest can go to any of them. */
const TCG_CPU = "Nehalem-v1";
/** Named models, newest first: `host` would be faster, and tie the guest to hosts of the same kind. */
const KVM_CPUS = [
  "SapphireRapids",
  "EPYC-Milan",
  "Icelake-Server-noTSX",
  "Cascadelake-Server-noTSX",
  "EPYC-Rome",
  "Skylake-Server-noTSX-IBRS",
  "Skylake-Client-noTSX-IBRS",
  "EPYC",
  "Haswell-noTSX",
  "IvyBridge",
  "SandyBridge",
  "Westmere",
  TCG_CPU,
];

/** Decides what the spec leaves open, for the QEMU that starts the VM. Errors: see `launchVm`. */
export async function resolveSpec(
  spec: VmSpec,
  agentQemu: QemuCommand = DEFAULT_QEMU,
): Promise<ResolvedSpec> {
  const qemu = spec.qemu ?? agentQemu;
  const accel = await chooseAccel(spec, qemu);
  const facts = await probeQemu(qemu, accel);
  const uuid = randomUUID();
  const memoryBytes = safeMemoryBytes({
    accel,
    qemuVersion: facts.version,
    memoryBytes: memoryBytesOf(spec),
  });
  return {
    ...spec,
    memory: formatSize(memoryBytes),
    uuid,
    accel,
    machine: resolveMachine(facts, spec.machine),
    cpu: spec.cpu ?? defaultCpu(facts, accel),
    nics: spec.nics.map((nic, index) => ({ ...nic, mac: nic.mac ?? macOf(uuid, index) })),
  };
}

async function chooseAccel(spec: VmSpec, qemu: QemuCommand): Promise<"kvm" | "tcg"> {
  if (spec.accel === "tcg") return "tcg";
  const verdict = await kvmVerdict(qemu);
  if (verdict.usable) return "kvm";
  if (spec.accel === "kvm") throw new GodwitError("KVM_UNUSABLE", { reason: verdict.reason });
  return "tcg";
}

function defaultCpu(facts: QemuFacts, accel: "kvm" | "tcg"): string {
  if (accel === "tcg") return TCG_CPU;
  const runs = new Set(facts.cpus.filter((c) => c["unavailable-features"]?.length === 0).map((c) => c.name));
  return KVM_CPUS.find((name) => runs.has(name)) ?? TCG_CPU;
}

/** QEMU's own prefix; the rest from the VM's identity, so that two VMs of one network differ. */
function macOf(uuid: string, index: number): string {
  const digest = createHash("sha256").update(`${uuid}/${index}`).digest("hex");
  return `52:54:00:${digest.slice(0, 2)}:${digest.slice(2, 4)}:${digest.slice(4, 6)}`;
}
