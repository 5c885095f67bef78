/** Handles a closed relation whose order is active: the order reappeared, or was never gone. */
import { park } from "../attempts/park.js";
import { stageOf } from "../domain/order-lifecycle.js";
import { type Outcome, skipped } from "../domain/outcome.js";
import type { OrderRef } from "../domain/resource-names.js";
import type { Ports, Snapshot } from "../ports.js";
import { isSameOrder, type Relation } from "./relation.js";
import { reopenRelation } from "./reopen-relation.js";
import { handleReplacedOrder } from "./replaced-order.js";
import { writeTrouble } from "./report-status.js";

/**
 * How long a cancelled order must be shown as active before it is reopened, in milliseconds: a replica that is behind also shows it,
 * and a report would then overwrite the cancellation.
 */
const ACTIVE_AGAIN_MS = 60_000;

/**
 * A first look that is older than this, in milliseconds, belongs to an earlier reappearance: while an order is shown as active, the poll
 * brings it every minute, and nothing looks at it in between.
 */
const FIRST_LOOK_EXPIRES_MS = 180_000;

/**
 * Reopens the relation of an order that the food service shows as active again. GONE: immediately. CANCELLED: if the order stays NEW
 * for a while, since we never write NEW. If it is further along, our own late report may have overwritten the cancellation, so an
 * operator decides.
 * @throws CallError, StoreError
 */
export async function comeBack(ref: OrderRef, snapshot: Snapshot, relation: Relation, ports: Ports): Promise<Outcome> {
  const order = await ports.food.getOrder(ref.name);
  const { trouble } = relation;
  if (!stageOf(order.status)) {
    if (trouble.activeAgain) await writeTrouble(snapshot, { ...trouble, activeAgain: undefined }, ports);
    return skipped(`the order is ${order.status}`);
  }
  if (!isSameOrder(relation, order)) return handleReplacedOrder(ref, snapshot, relation, order, ports);
  if (relation.state === "GONE") return reopenRelation(snapshot, relation, ports);

  const now = ports.clock.now();
  const first = trouble.activeAgain?.getTime();
  // An order that is further along is not reopened, so its first look needs no renewal.
  const isExpired = first !== undefined && order.status === "NEW" && now >= first + FIRST_LOOK_EXPIRES_MS;
  const since = isExpired ? undefined : first;
  if (since === undefined) await writeTrouble(snapshot, { ...trouble, activeAgain: new Date(now) }, ports);
  if (since === undefined || now < since + ACTIVE_AGAIN_MS) {
    return skipped(`the order was cancelled and is shown as ${order.status}`);
  }
  if (order.status === "NEW") return reopenRelation(snapshot, relation, ports);
  const message = `the order was cancelled, but the food service shows it as ${order.status} again`;
  return park("kitchen", ref, { code: "ACTIVE_AFTER_CANCELLATION", message }, ports);
}
