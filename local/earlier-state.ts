/** Whether a run against somebody's food service starts without the state that its orders have. */

import { GrpcFoodService } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock } from "../functions/src/adapters/firebase/system-clock.js";
import { parseTrust } from "../functions/src/credentials.js";
import type { ActiveStatus } from "../functions/src/domain/order-lifecycle.js";
import { StartError } from "../services/server.js";

/** Orders of these statuses have a kitchen order or a shipment that only a relation can name. */
const PAST_NEW: ActiveStatus[] = ["PREPARATION", "IN_FLIGHT"];

const CALL_DEADLINE_SECONDS = 10;

/**
 * An order that the food service shows past NEW, undefined when there is none.
 * @throws StartError when the orders can't be listed
 */
export async function findOrderPastNew(address: string, certificate: string | undefined): Promise<string | undefined> {
  const settings = {
    FOOD_SERVICE_ADDRESS: address,
    FOOD_SERVICE_SECURITY: "tls" as const,
    FOOD_SERVICE_CA: parseTrust(certificate ?? "system"),
    CALL_DEADLINE_SECONDS,
  };
  const food = new GrpcFoodService(settings, systemClock);
  try {
    for (const status of PAST_NEW) {
      const { orders } = await food.listOrders({ status, pageSize: 1, pageToken: "" });
      const found = orders.find((order) => order.status === status);
      if (found) return `${found.name} is ${status}`;
    }
    return undefined;
  } catch (error) {
    throw new StartError(`The food service on ${address} can't list its orders: ${(error as Error).message}.`);
  } finally {
    food.close();
  }
}
