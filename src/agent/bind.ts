import { lstatSync, unlinkSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import type { FastifyInstance } from "fastify";
import { GodwitError } from "../errors/mod.ts";
import { socketPath } from "../qemu/mod.ts";

/**
 * Listens on a unix socket that only this user may open. A socket that nobody answers on any more is replaced.
 * Errors: SOCKET_TAKEN when somebody answers or the path is something else, PATH_TOO_LONG, SOCKET_FOLDER_MISSING.
 */
export async function listenPrivately(fastify: FastifyInstance, path: string): Promise<void> {
  socketPath(path);
  if (await answers(path)) throw new GodwitError("SOCKET_TAKEN", { path });
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there !== undefined && !there.isSocket()) throw new GodwitError("SOCKET_TAKEN", { path });
  if (there !== undefined) unlinkSync(path);
  const umask = process.umask(0o177); // the socket is born closed: no moment in which others could connect
  try {
    await fastify.listen({ path });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "EACCES")
      throw new GodwitError("SOCKET_FOLDER_MISSING", { path }, { cause: error });
    throw error;
  } finally {
    process.umask(umask);
  }
}

/**
 * Listens for other agents; returns HOST:PORT as bound. Plain HTTP goes beyond loopback only when the user says so.
 * @param insecure  also true where the server speaks TLS
 * Errors: USAGE, LINK_INSECURE, SOCKET_TAKEN.
 */
export async function listenForPeers(
  fastify: FastifyInstance,
  address: string,
  insecure: boolean,
): Promise<string> {
  const { host } = splitAddress(address);
  if (!insecure && !isLoopback(host)) throw new GodwitError("LINK_INSECURE", { address });
  return listenAt(fastify, address, "--peer");
}

/** Listens on HOST:PORT; returns it as bound. Errors: USAGE naming the option, SOCKET_TAKEN. */
export async function listenAt(fastify: FastifyInstance, address: string, option: string): Promise<string> {
  const { host, port } = splitAddress(address);
  try {
    await fastify.listen({ host, port });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") throw new GodwitError("SOCKET_TAKEN", { path: address }, { cause: error });
    throw new GodwitError("USAGE", { problem: `${option} ${address}: ${message}` }, { cause: error });
  }
  const bound = fastify.server.address() as AddressInfo;
  return `${host.includes(":") ? `[${host}]` : host}:${bound.port}`;
}

/** "HOST:PORT" or "[IPv6]:PORT". Errors: USAGE. */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw new GodwitError("USAGE", {
      problem: `${address} is not HOST:PORT (an IPv6 host goes in brackets)`,
    });
  return { host: (match[1] ?? match[2])!, port };
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false)); // nobody there, or no socket: the caller looks which
  });
}
