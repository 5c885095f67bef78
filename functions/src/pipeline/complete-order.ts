/** Ends an order in flight: keeps its shipment's outcome. */

import { park } from "../attempts/create-once.js";
import { nothing, type Result } from "../domain/outcome.js";
import type { Ports } from "../ports.js";
import { close } from "../relations/close-relation.js";
import { readUnlessDone } from "../relations/load-relation.js";
import { decide } from "./decide-completion.js";

/** @throws CallError, ConflictError, StoreError, MalformedError */
export async function completeOrder(name: string, id: string, ports: Ports): Promise<Result> {
  const read = await readUnlessDone(id, undefined, ports);
  if ("done" in read) return read.done;
  const { snapshot, relation } = read;
  if (!snapshot || !relation?.shipment) return stranded(name, id, ports);

  const shipment = await ports.food.getShipment(relation.shipment);
  const decision = decide(shipment.status);
  return decision.outcome === "moved" ? close(snapshot, decision.to, ports) : decision;
}

/** Somebody set the order to IN_FLIGHT without a link: only an operator can say which shipment is its own. */
async function stranded(name: string, id: string, ports: Ports): Promise<Result> {
  const order = await ports.food.getOrder(name);
  if (order.status !== "IN_FLIGHT") return nothing(`the order is ${order.status}`);
  return park("shipment", id, name, "the order is IN_FLIGHT, but no shipment is linked", ports);
}
