/** Answers reads like a replica of the food service that is empty for a few seconds: no orders in a list, and NOT_FOUND. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Call, Reply } from "../harness/food-service-proxy.js";

const GETS = ["getOrder", "getKitchenOrder", "getShipment"];

/** gRPC's status number. */
const NOT_FOUND = 5;

/** The minimum time for which the replica is empty, and the maximum, if no sweep meets it before. */
const MIN_EMPTY_MS = 3_000;
const MAX_EMPTY_MS = 30_000;

/** When the replica was empty, in milliseconds since the epoch. */
export interface EmptyTime {
  from: number;
  until: number;
}

export interface EmptyReplicaOptions {
  /** Whether a process runs the sweep, which closes relations whose order is missing for long. */
  isSweep(process: number): boolean;
  /** Counts what exists and was hidden. */
  counts: { add(fault: "list without its orders" | "order not found by a sweep"): void };
}

export class EmptyReplica {
  readonly emptied: EmptyTime[] = [];
  private isEmpty = false;
  private hidFromList = false;
  private hidFromSweep = false;

  constructor(private readonly options: EmptyReplicaOptions) {}

  /** The reply to a read while the replica is empty; undefined if the food service's own reply is passed on. */
  replaceReply(call: Call, { status, response }: Reply): Reply | undefined {
    if (!this.isEmpty || status !== 0) return undefined;
    if (GETS.includes(call.method)) {
      if (call.method === "getOrder" && this.options.isSweep(call.process)) {
        this.hidFromSweep = true;
        this.options.counts.add("order not found by a sweep");
      }
      return { status: NOT_FOUND, response: undefined };
    }
    if (call.method !== "listOrders" || (response as { orders: unknown[] }).orders.length === 0) return undefined;
    this.hidFromList = true;
    this.options.counts.add("list without its orders");
    return { status: 0, response: { orders: [], nextPageToken: "" } };
  }

  /** Is empty until a list and a sweep have met it. */
  async serve(signal: AbortSignal): Promise<void> {
    const time = { from: Date.now(), until: Number.POSITIVE_INFINITY };
    this.emptied.push(time);
    this.hidFromList = this.hidFromSweep = false;
    this.isEmpty = true;
    try {
      await sleep(MIN_EMPTY_MS, undefined, { signal });
      const isMet = () => this.hidFromList && this.hidFromSweep;
      while (!isMet() && Date.now() < time.from + MAX_EMPTY_MS) await sleep(100, undefined, { signal });
    } finally {
      this.isEmpty = false;
      time.until = Date.now();
    }
  }
}
