/** Tells the food service what a relation stands for. */
import { mayReport, RELATION_STATES } from "../domain/order-lifecycle.js";
import { type Outcome, reported, skipped } from "../domain/outcome.js";
import type { Ports } from "../ports.js";
import type { Relation } from "./relation.js";

/**
 * Brings the order's status up to its relation: forwards only, and never away from an end.
 * The order is read right before it is written, since an update has no precondition.
 * @throws CallError
 */
export async function reportStatus(relation: Relation, { food }: Pick<Ports, "food">): Promise<Outcome> {
  const target = relation.state && RELATION_STATES[relation.state].reports;
  if (!target) return skipped(`a relation that is ${relation.state ?? "empty"} is not reported`);
  const order = await food.getOrder(relation.order);
  if (!mayReport(order.status, target)) return skipped(`the order is ${order.status} already`);
  await food.updateOrder(order.name, target);
  return reported(target);
}

/**
 * The same for a stage that meets an order behind its relation. The relation's trigger has reported it already, so this is not worth a
 * line in the log, above all if the food service ignores it and each poll brings the order again.
 * @throws CallError
 */
export async function reportAgain(relation: Relation, ports: Pick<Ports, "food">): Promise<Outcome> {
  const outcome = await reportStatus(relation, ports);
  return outcome.outcome === "reported" ? skipped(`${outcome.to} is reported again`) : outcome;
}
