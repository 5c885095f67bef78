/** Whether a meal flies. */
import {
  closingState,
  KITCHEN_STATUSES,
  type KitchenStatus,
  type OrderStatus,
  STAGES,
} from "../domain/order-lifecycle.js";
import { moved, nothing, type Result } from "../domain/outcome.js";

/** Decides on an order without a shipment by the status of its kitchen order. */
export function decide(kitchenOrder: KitchenStatus): Result {
  if (KITCHEN_STATUSES[kitchenOrder].packaged) return moved("IN_FLIGHT");
  return nothing(`the kitchen order is ${kitchenOrder}`);
}

/** Decides again, for a packaged meal, by the order's status: no drone flies for an order that is cancelled or rejected. */
export function decideAgain(order: OrderStatus): Result {
  if (order === STAGES.shipment.takes) return moved("IN_FLIGHT");
  return nothing(closingState(order) ? `the order ended as ${order}` : `the order is ${order}`);
}
