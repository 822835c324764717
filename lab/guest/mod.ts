export { guestCommandLine, MANNERS, type Manner, type Workload } from "./command_line.ts";
export { type CpioEntry, CpioType, cpioArchive } from "./cpio.ts";
export { guestInitramfs } from "./initramfs.ts";
export { tcgMemory } from "./memory.ts";
export { GUEST_MODULES, type KernelModule, modulesInOrder } from "./modules.ts";
export { type GuestLine, GuestOracle, parseGuestLine } from "./oracle.ts";
