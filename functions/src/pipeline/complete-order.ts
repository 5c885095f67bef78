/** Advances an order in flight: when its shipment has an outcome, closes the relation with it. */
import { park } from "../attempts/park.js";
import { SHIPMENT_STATUSES, STAGES } from "../domain/order-lifecycle.js";
import { type Outcome, skipped } from "../domain/outcome.js";
import type { OrderRef } from "../domain/resource-names.js";
import type { Ports } from "../ports.js";
import { closeRelation } from "../relations/close-relation.js";
import { loadOrReconcile } from "../relations/load-relation.js";

/**
 * Closes the relation of an order whose shipment was delivered or rejected.
 * @throws CallError, ConflictError, StoreError, ValidationError
 */
export async function completeOrder(ref: OrderRef, ports: Ports): Promise<Outcome> {
  const loaded = await loadOrReconcile(ref, undefined, ports);
  if (loaded.kind === "reconciled") return loaded.outcome;
  const { snapshot, relation } = loaded;
  if (!snapshot || !relation?.shipment) return parkWithoutShipment(ref, ports);

  const shipment = await ports.food.getShipment(relation.shipment);
  const { outcome } = SHIPMENT_STATUSES[shipment.status];
  return outcome ? closeRelation(snapshot, outcome, ports) : skipped(`the shipment is ${shipment.status}`);
}

/** Another program set the order to IN_FLIGHT without a link: only an operator can say which shipment it has. */
async function parkWithoutShipment(ref: OrderRef, ports: Ports): Promise<Outcome> {
  const order = await ports.food.getOrder(ref.name);
  if (order.status !== STAGES.completion.takes) return skipped(`the order is ${order.status}`);
  return park("shipment", ref, "the order is IN_FLIGHT, but no shipment is linked", ports);
}
