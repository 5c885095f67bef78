/** Advances an order in preparation: when its meal is packaged, creates its shipment and links it. */
import { createOnce } from "../attempts/create-once.js";
import { park } from "../attempts/park.js";
import { closingState, KITCHEN_STATUSES, STAGES } from "../domain/order-lifecycle.js";
import { type Outcome, skipped } from "../domain/outcome.js";
import type { OrderRef } from "../domain/resource-names.js";
import type { Ports } from "../ports.js";
import { closeRelation } from "../relations/close-relation.js";
import { loadOrReconcile } from "../relations/load-relation.js";
import { reportAgain } from "../relations/report-status.js";

/**
 * Creates the shipment of a packaged meal, unless the food service shows that its order has ended.
 * @throws CallError, ConflictError, StoreError, ValidationError
 */
export async function dispatchShipment(ref: OrderRef, ports: Ports): Promise<Outcome> {
  const loaded = await loadOrReconcile(ref, "shipment", ports);
  if (loaded.kind === "reconciled") return loaded.outcome;
  const { snapshot, relation } = loaded;
  if (!snapshot || !relation?.kitchen) return parkWithoutKitchenOrder(ref, ports);

  const kitchenOrder = await ports.food.getKitchenOrder(relation.kitchen);
  if (!KITCHEN_STATUSES[kitchenOrder.status].packaged) return skipped(`the kitchen order is ${kitchenOrder.status}`);

  // Read last: no drone flies for an order that was cancelled or rejected in the meantime.
  const order = await ports.food.getOrder(ref.name);
  const finalState = closingState(order.status);
  if (finalState) return closeRelation(snapshot, finalState, ports);
  if (order.status === STAGES.kitchen.takes) return reportAgain(relation, ports);
  if (order.status !== STAGES.shipment.takes) return skipped(`the order is ${order.status}`);
  return createOnce({ stage: "shipment", ref, order, snapshot }, ports);
}

/** Another program set the order to PREPARATION without a link: only an operator can say which kitchen order it has. */
async function parkWithoutKitchenOrder(ref: OrderRef, ports: Ports): Promise<Outcome> {
  const order = await ports.food.getOrder(ref.name);
  if (order.status !== STAGES.shipment.takes) return skipped(`the order is ${order.status}`);
  return park("kitchen", ref, "the order is in PREPARATION, but no kitchen order is linked", ports);
}
