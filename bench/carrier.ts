/** The sides of the pipeline bench, each of which moves orders from NEW to DELIVERED in its own way. */
import type { FoodServiceProcess } from "../harness/food-service-process.js";
import type { Usage } from "../harness/process-usage.js";
import type { World } from "./world.js";

/** One side carrying orders. */
export interface Carrier {
  /** Resolves when all these orders, which were placed just now, are delivered. */
  carry(orders: string[]): Promise<void>;
  /** The usage of each of its processes so far, the side's own first. */
  usage(): Record<string, Usage>;
  /** The processes whose cost is the side's own, not that of a store or a bus. */
  own: string[];
  stop(): Promise<void>;
}

/** Starts a side with its own world; the name is that of its folder and its project. */
export type StartCarrier = (world: World, name: string, food: FoodServiceProcess) => Promise<Carrier>;

/** The food service's address and certificate for the peers' processes. */
export function addressOf({ address, certificate }: FoodServiceProcess): Record<string, string> {
  return { FOOD_SERVICE_ADDRESS: address, FOOD_SERVICE_CA: certificate };
}
