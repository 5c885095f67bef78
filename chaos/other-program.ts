/** Another program: it ends orders in the food service while they are in progress. */
import { setTimeout as sleep } from "node:timers/promises";
import { foodServiceChannel } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock } from "../functions/src/adapters/firebase/system-clock.js";
import { isCallError } from "../functions/src/domain/errors.js";
import { ORDER_STATUSES, type OrderStatus } from "../functions/src/domain/order-lifecycle.js";
import { OrderServiceService } from "../functions/src/generated/food/v1/food.js";
import type { FoodServiceProcess } from "../harness/food-service-process.js";
import { CONNECTION_OPTIONS, connectionTo } from "../services/food-service/connection-options.js";
import type { GroundTruth } from "../services/food-service/model/food-service-model.js";

/** The statuses of the orders that it ends: we have created something for them. */
const STATUSES: OrderStatus[] = ["PREPARATION", "IN_FLIGHT"];

/** The statuses that it sets, in turn. */
const ENDS = ["REJECTED", "CANCELLED"] as const;

/** How long it looks for an order to end, and the time between two looks. */
const LOOK_TIMEOUT_MS = 20_000;
const LOOK_INTERVAL_MS = 200;

/** An order that the program ended. */
export interface EndedOrder {
  order: string;
  status: (typeof ENDS)[number];
  /** Milliseconds since the epoch: from then on, every read of the food service shows it. Infinity if no reply confirmed it. */
  visibleFrom: number;
}

export class OtherProgram {
  readonly ended: EndedOrder[] = [];

  constructor(private readonly food: FoodServiceProcess) {}

  /** Ends one order that has a relation. Ends none if there is no such order for a while. */
  async endOne(signal: AbortSignal): Promise<void> {
    for (const deadline = Date.now() + LOOK_TIMEOUT_MS; Date.now() < deadline; ) {
      const { orders } = this.food.truth();
      const found = orders.find(({ name, status }) => STATUSES.includes(status) && !this.hasEnded(name));
      if (found && (await this.end(found.name))) return;
      await sleep(LOOK_INTERVAL_MS, undefined, { signal });
    }
  }

  private hasEnded(name: string): boolean {
    return this.ended.some(({ order }) => order === name);
  }

  /** Resolves with whether the food service confirmed it. */
  private async end(name: string): Promise<boolean> {
    const { address, certificate } = this.food;
    const channel = foodServiceChannel(connectionTo(address, certificate), systemClock, CONNECTION_OPTIONS);
    const ended: EndedOrder = {
      order: name,
      status: ENDS[this.ended.length % ENDS.length] as EndedOrder["status"],
      visibleFrom: Number.POSITIVE_INFINITY,
    };
    // Before the call, whose reply may be lost.
    this.ended.push(ended);
    const order = { name, createTime: "", updateTime: "", customerId: "", status: ORDER_STATUSES[ended.status].code };
    try {
      await channel.call(OrderServiceService.updateOrder, { order, updateMask: ["status"] });
      ended.visibleFrom = Date.now();
      return true;
    } catch (error) {
      if (!isCallError(error)) throw error;
      return false;
    } finally {
      channel.close();
    }
  }
}

/** The ends that stood: the order was in progress, and no later report of ours overwrote the end. */
export function endsThatStood(ended: readonly EndedOrder[], truth: GroundTruth): EndedOrder[] {
  return ended.filter(({ order, status, visibleFrom }) => {
    const changes = truth.orders.find(({ name }) => name === order)?.changes ?? [];
    const [before, last] = changes.slice(-2);
    const wasActive = before !== undefined && !ORDER_STATUSES[before.status].ended;
    return Number.isFinite(visibleFrom) && wasActive && last?.status === status;
  });
}
