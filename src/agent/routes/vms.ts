import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { GodwitError } from "../../errors/mod.ts";
import { vmSpecSchema } from "../../qemu/mod.ts";
import { adoptSchema, consoleSchema, nameParamsSchema, vmBodySchema } from "../api.ts";
import type { Clock } from "../context.ts";
import { describeVm } from "../describe.ts";
import { zodApi } from "../http.ts";
import type { Vms } from "../vms.ts";

/** /v1/vms: start, list, show, stop, adopt. */
export function vmRoutes(fastify: FastifyInstance, vms: Vms, clock: Clock): void {
  const api = zodApi(fastify);
  const tags = ["vms"];

  api.get(
    "/v1/vms",
    { schema: { tags, summary: "All VMs of this host", response: { 200: z.array(vmBodySchema) } } },
    async () => Promise.all(vms.list().map((vm) => describeVm(vm, clock))),
  );

  api.post(
    "/v1/vms",
    { schema: { tags, summary: "Start a VM", body: vmSpecSchema, response: { 201: vmBodySchema } } },
    async (request, reply) => reply.code(201).send(await describeVm(await vms.start(request.body), clock)),
  );

  api.post(
    "/v1/vms/adopt",
    {
      schema: {
        tags,
        summary: "Take over a running QEMU",
        body: adoptSchema,
        response: { 201: vmBodySchema },
      },
    },
    async (request, reply) => {
      const { qmp, oob, spec } = request.body;
      const name = request.body.name ?? (await vms.nameOf(qmp));
      const parts = { qmp, ...(oob && { oob }), ...(spec && { spec: partialSpec(spec) }) };
      return reply.code(201).send(await describeVm(await vms.adopt(name, parts), clock));
    },
  );

  api.get(
    "/v1/vms/:name",
    { schema: { tags, summary: "One VM", params: nameParamsSchema, response: { 200: vmBodySchema } } },
    async (request) => describeVm(vms.get(request.params.name), clock),
  );

  api.delete(
    "/v1/vms/:name",
    { schema: { tags, summary: "End a VM at once, as if its power were cut", params: nameParamsSchema } },
    async (request, reply) => {
      const vm = vms.get(request.params.name);
      const release = vms.claim(vm.name, "being stopped");
      try {
        await vms.discard(vm);
      } finally {
        release();
      }
      return reply.code(204).send();
    },
  );

  api.post(
    "/v1/vms/:name/console",
    {
      schema: { tags, summary: "Type on the serial console", params: nameParamsSchema, body: consoleSchema },
    },
    async (request, reply) => {
      const vm = vms.get(request.params.name);
      if (vm.serial === null)
        throw new GodwitError("USAGE", { problem: `${vm.name} has no console that we hold` });
      vm.serial.send(request.body.text);
      return reply.code(204).send();
    },
  );
}

function partialSpec(input: object): Partial<z.output<typeof vmSpecSchema>> {
  const result = vmSpecSchema.partial().safeParse(input);
  if (!result.success) throw new GodwitError("SPEC_INVALID", { problem: z.prettifyError(result.error) });
  // Only what was written: a default must not contradict what the running QEMU says.
  const written = Object.entries(result.data).filter(([key]) => Object.hasOwn(input, key));
  return Object.fromEntries(written) as Partial<z.output<typeof vmSpecSchema>>;
}
