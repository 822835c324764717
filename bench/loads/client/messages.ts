import type { Operations } from "../../types.ts";

export type ClientName = "redis" | "nginx";

/** argv[2] of the client process, as JSON. */
export interface ClientOptions {
  readonly client: ClientName;
  /** The guest's. */
  readonly address: string;
}

/** Each is answered by one `done` with its `id`. */
export interface ClientOrder {
  readonly id: number;
  readonly order: "take" | "pause" | "resume";
}

export type ClientEvent =
  | { readonly event: "warm" }
  | { readonly event: "failed"; readonly reason: string }
  | { readonly event: "done"; readonly id: number; readonly operations: Operations | null };
