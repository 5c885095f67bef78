/** Advances an order in preparation: when its meal is packaged, creates its shipment and links it. */
import { MISSING_LINK } from "../attempts/attempt.js";
import { createOnce } from "../attempts/create-once.js";
import { park } from "../attempts/park.js";
import { closingState, isBefore, KITCHEN_STATUSES, STAGES } from "../domain/order-lifecycle.js";
import { type Outcome, skipped } from "../domain/outcome.js";
import type { OrderRef } from "../domain/resource-names.js";
import type { Ports, Snapshot, WaitingOrder } from "../ports.js";
import { closeRelation } from "../relations/close-relation.js";
import { loadOrReconcile } from "../relations/load-relation.js";
import { isSameOrder, type Relation } from "../relations/relation.js";
import { handleReplacedOrder } from "../relations/replaced-order.js";
import { reportAgain } from "../relations/report-status.js";
import { readLinked, readRemembered } from "./linked-resource.js";

/**
 * Creates the shipment of a packaged meal, unless the food service shows that its order has ended.
 * @throws CallError, ConflictError, StoreError, ValidationError
 */
export async function dispatchShipment(ref: WaitingOrder, ports: Ports): Promise<Outcome> {
  const known = await readRemembered("kitchen", ref, ports);
  if (known.kind === "waiting") return skipped(`the kitchen order is ${known.resource.status}`);

  const loaded = await loadOrReconcile(ref, "shipment", ports);
  if (loaded.kind === "reconciled") return loaded.outcome;
  const { relation } = loaded;
  if (!loaded.snapshot || !relation?.kitchen) return replaceKitchenOrder(ref, loaded.snapshot, relation, ports);

  const { snapshot: found } = loaded;
  const linked = await readLinked(
    "kitchen",
    relation.kitchen,
    { ref, snapshot: found, relation },
    ports,
    known.resource,
  );
  if (linked.kind === "missing") return linked.outcome;
  const { resource: kitchenOrder, snapshot } = linked;
  if (!KITCHEN_STATUSES[kitchenOrder.status].packaged) return skipped(`the kitchen order is ${kitchenOrder.status}`);

  // Read last, so no drone flies for an order that was just cancelled or rejected.
  const order = await ports.food.getOrder(ref.name);
  const finalState = closingState(order.status);
  if (finalState) return closeRelation(snapshot, finalState, ports);
  if (!isSameOrder(relation, order)) return handleReplacedOrder(ref, snapshot, relation, order, ports);
  if (isBefore(order.status, STAGES.shipment.takes)) return reportAgain(snapshot, relation, ports);
  if (order.status !== STAGES.shipment.takes) return skipped(`the order is ${order.status}`);
  return createOnce({ stage: "shipment", ref, order, snapshot }, ports);
}

/**
 * Creates another kitchen order if an operator requested one because the linked one was lost. If none was ever linked, another program
 * set the order to PREPARATION: only an operator can say which kitchen order it has.
 */
async function replaceKitchenOrder(
  ref: OrderRef,
  snapshot: Snapshot | undefined,
  relation: Relation | undefined,
  ports: Ports,
): Promise<Outcome> {
  const order = await ports.food.getOrder(ref.name);
  if (order.status !== STAGES.shipment.takes) return skipped(`the order is ${order.status}`);
  if (relation?.discarded.kitchen !== undefined) return createOnce({ stage: "kitchen", ref, order, snapshot }, ports);
  const message = "the order is in PREPARATION, but no kitchen order is linked";
  return park("kitchen", ref, { code: MISSING_LINK, message }, ports);
}
