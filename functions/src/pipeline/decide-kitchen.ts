/** Whether an order goes to the kitchen. */
import { ORDER_STATUSES, type OrderStatus, STAGES } from "../domain/order-lifecycle.js";
import { moved, nothing, type Result } from "../domain/outcome.js";

/** Decides on an order without a kitchen order by the status that the food service shows right now. */
export function decide(order: OrderStatus): Result {
  if (order === STAGES.kitchen.takes) return moved("PREPARATION");
  return nothing(ORDER_STATUSES[order].ended ? `the order ended as ${order}` : `the order is ${order}`);
}
