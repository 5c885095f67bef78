/** Handles an order whose name was used before: the food service lost its state and assigns its names again. */
import { park } from "../attempts/park.js";
import { commitIfUnchanged } from "../commit-if-unchanged.js";
import { advanced, type Outcome, skipped } from "../domain/outcome.js";
import type { OrderRef } from "../domain/resource-names.js";
import type { Order, Ports, Snapshot } from "../ports.js";
import type { Relation } from "./relation.js";

/**
 * Handles a relation whose order has a different creation time. If the earlier order was delivered or rejected, deletes the
 * relation: its history stays, and the next poll starts the new order. Otherwise a meal may still be cooking, for either order, so an
 * operator decides.
 * @throws StoreError
 */
export async function handleReplacedOrder(
  ref: OrderRef,
  snapshot: Snapshot,
  relation: Relation,
  order: Order,
  ports: Ports,
): Promise<Outcome> {
  if (relation.state !== "DELIVERED" && relation.state !== "REJECTED") {
    const [now, then] = [order.placedAt, relation.placedAt].map((time) => time?.toISOString());
    const message = `the order was placed at ${now}, but its relation is ${relation.state} and of an order placed at ${then}`;
    return park("kitchen", ref, { code: "ORDER_REPLACED", message }, ports);
  }
  const { path, version } = snapshot;
  if (await commitIfUnchanged([{ kind: "delete", path, version }], ports)) return advanced("REPLACED");
  return skipped("the relation was changed concurrently");
}
