/** The timeline of one order, in one line: everything that happened to it, in seconds since it was placed. */

import type { Relation } from "../functions/src/relations/relation.js";
import type { GroundTruth, PlacedOrder } from "../services/food-service/model/food-service-model.js";

/**
 * Such as "orders/6b… krithik (class 7)  0.0 NEW, 1.3 PREPARATION (1.1), 9.0 meal packaged, …". Capitals are the order's statuses; a time
 * in brackets is when the relation reached the same state.
 */
export function pathOf(order: PlacedOrder, relation: Relation | undefined, truth: GroundTruth): string {
  const start = Date.parse(order.changes[0]?.at ?? "");
  const kitchen = truth.kitchenOrders.find(({ name }) => name === relation?.kitchen);
  const shipment = truth.shipments.find(({ name }) => name === relation?.shipment);
  const seconds = (at: number) => ((at - start) / 1000).toFixed(1);
  const times = relation?.times as Record<string, Date | undefined> | undefined;
  const steps = order.changes.map(({ status, at }) => {
    const time = times?.[status];
    return { at: Date.parse(at), text: time ? `${status} (${seconds(time.getTime())})` : status };
  });
  for (const [title, created] of [
    ["meal", kitchen],
    ["drone", shipment],
  ] as const) {
    for (const { status, at } of created?.changes ?? []) {
      if (status !== "NEW") steps.push({ at: Date.parse(at), text: `${title} ${status.toLowerCase()}` });
    }
  }
  steps.sort((a, b) => a.at - b.at);
  return `${order.name} ${customerOf(order, relation)}  ${steps.map(({ at, text }) => `${seconds(at)} ${text}`).join(", ")}`;
}

/** The customer, with the result of the lookup. */
function customerOf({ customerId }: PlacedOrder, relation: Relation | undefined): string {
  const customer = relation?.customer;
  if (!customer) return `${customerId} (not asked for)`;
  return "reason" in customer
    ? `${customerId} (unknown: ${customer.reason.code})`
    : `${customerId} (class ${customer.class})`;
}
