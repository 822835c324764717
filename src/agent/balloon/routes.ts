import type { FastifyInstance } from "fastify";
import type { z } from "zod";
import { GodwitError } from "../../errors/mod.ts";
import { memoryBytesOf } from "../../qemu/mod.ts";
import { balloonBodySchema, balloonOrderSchema, nameParamsSchema } from "../api.ts";
import type { Clock, Vm, VmRegistry } from "../context.ts";
import { zodApi } from "../http.ts";
import { balloonDevice } from "./device.ts";
import { balloonMode, setBalloonMode } from "./mode.ts";
import { untilSettled } from "./shrink.ts";

const ANSWER_MS = 2_000;
/** An order is answered when the guest has followed, or after so long. */
const FOLLOW_MS = 10_000;

/** /v1/vms/:name/balloon: see it, set it, let it follow the guest's need. */
export function balloonRoutes(fastify: FastifyInstance, vms: VmRegistry, clock: Clock): void {
  const api = zodApi(fastify);
  const schema = { tags: ["vms"], params: nameParamsSchema, response: { 200: balloonBodySchema } };

  api.get("/v1/vms/:name/balloon", { schema: { ...schema, summary: "A VM's balloon" } }, async (request) =>
    describe(vms.get(request.params.name)),
  );
  api.post(
    "/v1/vms/:name/balloon",
    { schema: { ...schema, summary: "Set a VM's balloon", body: balloonOrderSchema } },
    async (request) => {
      const vm = vms.get(request.params.name);
      const release = vms.claim(vm.name, "its balloon");
      try {
        await set(vm, request.body, clock);
      } finally {
        release();
      }
      return describe(vm);
    },
  );
}

async function describe(vm: Vm): Promise<z.output<typeof balloonBodySchema>> {
  const device = await balloonDevice(vm);
  return {
    mode: balloonMode(vm),
    ramBytes: memoryBytesOf(vm.spec),
    sizeBytes: await device.sizeBytes(),
    guest: await device.ask(ANSWER_MS),
  };
}

async function set(vm: Vm, order: z.output<typeof balloonOrderSchema>, clock: Clock): Promise<void> {
  const device = await balloonDevice(vm);
  if (order.mode === "auto") return setBalloonMode(vm, "auto");
  const ramBytes = memoryBytesOf(vm.spec);
  const goalBytes = order.sizeBytes ?? ramBytes;
  if (goalBytes > ramBytes) {
    throw new GodwitError("USAGE", { problem: `${vm.name} has ${ramBytes} bytes of RAM, not ${goalBytes}` });
  }
  setBalloonMode(vm, "off");
  await device.resize(goalBytes);
  const untilMs = clock.monoMs() + FOLLOW_MS;
  await untilSettled(device, { goalBytes, untilMs, mayGoOn: () => true, clock });
}
