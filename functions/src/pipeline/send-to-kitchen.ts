/** Advances a new order: creates its kitchen order and links it. */
import { createOnce } from "../attempts/create-once.js";
import { STAGES } from "../domain/order-lifecycle.js";
import { type Outcome, skipped } from "../domain/outcome.js";
import type { OrderRef } from "../domain/resource-names.js";
import type { Ports } from "../ports.js";
import { loadOrReconcile } from "../relations/load-relation.js";

/**
 * Creates the kitchen order of an order that the food service shows as NEW at this moment.
 * @throws CallError, StoreError, ConflictError, ValidationError
 */
export async function sendToKitchen(ref: OrderRef, ports: Ports): Promise<Outcome> {
  const loaded = await loadOrReconcile(ref, "kitchen", ports);
  if (loaded.kind === "reconciled") return loaded.outcome;

  const order = await ports.food.getOrder(ref.name);
  if (order.status !== STAGES.kitchen.takes) return skipped(`the order is ${order.status}`);
  return createOnce({ stage: "kitchen", ref, order, snapshot: loaded.snapshot }, ports);
}
