/** Advances an order in preparation: once its meal is packaged, creates its shipment and keeps the link. */

import { createOnce, park } from "../attempts/create-once.js";
import { closingState } from "../domain/order-lifecycle.js";
import { nothing, type Result } from "../domain/outcome.js";
import type { Ports } from "../ports.js";
import { close } from "../relations/close-relation.js";
import { readUnlessDone } from "../relations/load-relation.js";
import { report } from "../relations/report-status.js";
import { decide, decideAgain } from "./decide-shipment.js";

/** @throws CallError, ConflictError, StoreError, MalformedError */
export async function dispatchShipment(name: string, id: string, ports: Ports): Promise<Result> {
  const read = await readUnlessDone(id, "shipment", ports);
  if ("done" in read) return read.done;
  const { snapshot, relation } = read;
  if (!snapshot || !relation?.kitchen) return stranded(name, id, ports);

  const kitchenOrder = await ports.food.getKitchenOrder(relation.kitchen);
  const decision = decide(kitchenOrder.status);
  if (decision.outcome !== "moved") return decision;

  const order = await ports.food.getOrder(name);
  const ended = closingState(order.status);
  if (ended) return close(snapshot, ended, ports);
  if (order.status === "NEW") return report(relation, ports);
  const decisionNow = decideAgain(order.status);
  if (decisionNow.outcome !== "moved") return decisionNow;
  return createOnce(
    { stage: "shipment", id, order, snapshot, create: (options) => ports.food.createShipment(options) },
    ports,
  );
}

/** Somebody set the order to PREPARATION without a link: only an operator can say which kitchen order is its own. */
async function stranded(name: string, id: string, ports: Ports): Promise<Result> {
  const order = await ports.food.getOrder(name);
  if (order.status !== "PREPARATION") return nothing(`the order is ${order.status}`);
  return park("kitchen", id, name, "the order is in PREPARATION, but no kitchen order is linked", ports);
}
