/** Whether a run against somebody's food service starts without the state that its orders have. */
import { type FoodServiceConnection, GrpcFoodService } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock } from "../functions/src/adapters/firebase/system-clock.js";
import type { ActiveStatus } from "../functions/src/domain/order-lifecycle.js";
import { StartError } from "../services/server.js";

/** Orders of these statuses have a kitchen order or a shipment that only a relation can name. */
const PAST_NEW: ActiveStatus[] = ["PREPARATION", "IN_FLIGHT"];

/**
 * An order that the food service shows past NEW, undefined when there is none.
 * @throws StartError when the orders can't be listed
 */
export async function findOrderPastNew(connection: FoodServiceConnection): Promise<string | undefined> {
  const food = new GrpcFoodService(connection, systemClock);
  try {
    for (const status of PAST_NEW) {
      const { orders } = await food.listOrders({ status, pageSize: 1, pageToken: "" });
      const found = orders.find((order) => order.status === status);
      if (found) return `${found.name} is ${status}`;
    }
    return undefined;
  } catch (error) {
    throw new StartError(
      `The food service on ${connection.FOOD_SERVICE_ADDRESS} can't list its orders: ${(error as Error).message}.`,
    );
  } finally {
    food.close();
  }
}
