/** Advances an order in flight: when its shipment has an outcome, closes the relation with this outcome. */
import { MISSING_LINK } from "../attempts/attempt.js";
import { createOnce } from "../attempts/create-once.js";
import { park } from "../attempts/park.js";
import { KITCHEN_STATUSES, SHIPMENT_STATUSES, STAGES } from "../domain/order-lifecycle.js";
import { type Outcome, skipped } from "../domain/outcome.js";
import type { OrderRef } from "../domain/resource-names.js";
import type { Ports, Snapshot, WaitingOrder } from "../ports.js";
import { closeRelation } from "../relations/close-relation.js";
import { loadOrReconcile } from "../relations/load-relation.js";
import type { Relation } from "../relations/relation.js";
import { readLinked, readRemembered } from "./linked-resource.js";

/**
 * Closes the relation of an order whose shipment was delivered or rejected.
 * @throws CallError, ConflictError, StoreError, ValidationError
 */
export async function completeOrder(ref: WaitingOrder, ports: Ports): Promise<Outcome> {
  const known = await readRemembered("shipment", ref, ports);
  if (known.kind === "waiting") return skipped(`the shipment is ${known.resource.status}`);

  const loaded = await loadOrReconcile(ref, undefined, ports);
  if (loaded.kind === "reconciled") return loaded.outcome;
  const { relation } = loaded;
  if (!loaded.snapshot || !relation?.shipment) return replaceShipment(ref, loaded.snapshot, relation, ports);

  const { snapshot } = loaded;
  const linked = await readLinked("shipment", relation.shipment, { ref, snapshot, relation }, ports, known.resource);
  if (linked.kind === "missing") return linked.outcome;
  const { outcome } = SHIPMENT_STATUSES[linked.resource.status];
  if (outcome) return closeRelation(linked.snapshot, outcome, ports);
  return skipped(`the shipment is ${linked.resource.status}`);
}

/**
 * Creates another shipment if an operator requested one because the linked shipment was lost, and another meal if that was lost too. If no
 * shipment was ever linked, another program set the order to IN_FLIGHT: only an operator can say which shipment it has.
 */
async function replaceShipment(
  ref: OrderRef,
  snapshot: Snapshot | undefined,
  relation: Relation | undefined,
  ports: Ports,
): Promise<Outcome> {
  const isDiscarded = relation?.discarded.shipment !== undefined;
  const isMealLost = relation?.discarded.kitchen !== undefined && relation.kitchen === undefined;
  if (snapshot && isDiscarded && relation.kitchen !== undefined) {
    const linked = await readLinked("kitchen", relation.kitchen, { ref, snapshot, relation }, ports);
    if (linked.kind === "missing") return linked.outcome;
    const { status } = linked.resource;
    if (!KITCHEN_STATUSES[status].packaged) return skipped(`the kitchen order is ${status}`);
  }
  const order = await ports.food.getOrder(ref.name);
  if (order.status !== STAGES.completion.takes) return skipped(`the order is ${order.status}`);
  // Without its meal there is nothing to ship: the kitchen order was lost too, so create it first.
  if (isMealLost) return createOnce({ stage: "kitchen", ref, order, snapshot }, ports);
  if (isDiscarded) return createOnce({ stage: "shipment", ref, order, snapshot }, ports);
  const message = "the order is IN_FLIGHT, but no shipment is linked";
  return park("shipment", ref, { code: MISSING_LINK, message }, ports);
}
