/** How many orders are where, as the relations, the attempts and the food service have it. */

import { ATTEMPTS, attemptIn } from "../functions/src/attempts/attempt.js";
import type { RelationState } from "../functions/src/domain/order-lifecycle.js";
import { orderRefFromId } from "../functions/src/domain/resource-names.js";
import { parseRelation, RELATIONS } from "../functions/src/relations/relation.js";
import type { Document } from "../harness/emulators/firestore-rest.js";

/** What each count is called on the line. */
const TITLES = {
  NEW: "new",
  PREPARATION: "in preparation",
  IN_FLIGHT: "in flight",
  DELIVERED: "delivered",
  REJECTED: "rejected",
  CANCELLED: "cancelled",
  GONE: "gone",
  waiting: "waiting for an operator",
  unreadable: "unreadable",
} as const satisfies Record<RelationState | "NEW" | "waiting" | "unreadable", string>;

export type OrderCounts = Record<keyof typeof TITLES, number>;

/** Counts that are only shown where there is something to count. */
const RARE: (keyof OrderCounts)[] = ["GONE", "waiting", "unreadable"];

/**
 * Counts by stage, from the whole of both collections.
 * @throws Error where they can't be read
 */
export async function countOrders(
  documents: (collection: string) => Promise<Document[]>,
  newOrders: () => Promise<string[]>,
): Promise<OrderCounts> {
  // A food service that is unavailable for a moment must not hide the other counts.
  const listed = newOrders().catch(() => []);
  const [relations, attempts] = await Promise.all([documents(RELATIONS), documents(ATTEMPTS)]);
  return countsIn(relations, attempts, await listed);
}

/** Counts these documents by stage. Of the orders that are NEW, those count that have no relation and need no operator. */
export function countsIn(relations: Document[], attempts: Document[], newOrders: string[] = []): OrderCounts {
  const states = Object.keys(TITLES).map((name) => [name, 0] as const);
  const counts = Object.fromEntries(states) as OrderCounts;
  const known = new Set<string>();
  for (const { path, fields } of relations) {
    known.add(orderRefFromId(path.slice(path.lastIndexOf("/") + 1)).name);
    const state = readable(() => parseRelation(path, fields));
    if (state === "unreadable") counts.unreadable++;
    else if (state.state) counts[state.state]++;
  }
  for (const { path, fields } of attempts) {
    const attempt = readable(() => attemptIn({ path, fields, version: "" }));
    if (attempt === "unreadable") counts.unreadable++;
    else if (attempt && (attempt.state === "PARKED" || attempt.state === "UNCERTAIN")) {
      counts.waiting++;
      known.add(attempt.order);
    }
  }
  counts.NEW = newOrders.filter((name) => !known.has(name)).length;
  return counts;
}

/** Such as "2 in preparation, 1 in flight, 7 delivered, 0 rejected, 0 cancelled". */
export function lineOf(counts: OrderCounts): string {
  const shown = (Object.keys(TITLES) as (keyof OrderCounts)[]).filter(
    (name) => counts[name] > 0 || !RARE.includes(name),
  );
  return shown.map((name) => `${counts[name]} ${TITLES[name]}`).join(", ");
}

function readable<T>(read: () => T): T | "unreadable" {
  try {
    return read();
  } catch {
    return "unreadable";
  }
}
