/** How many orders are where, as the relations and attempts in Firestore have it. */

import { ATTEMPTS, attemptIn } from "../functions/src/attempts/attempt.js";
import type { RelationState } from "../functions/src/domain/order-lifecycle.js";
import { parseRelation, RELATIONS } from "../functions/src/relations/relation.js";
import type { Document } from "../harness/emulators/firestore-rest.js";

/** What each count is called on the line. */
const TITLES = {
  PREPARATION: "in preparation",
  IN_FLIGHT: "in flight",
  DELIVERED: "delivered",
  REJECTED: "rejected",
  CANCELLED: "cancelled",
  GONE: "gone",
  waiting: "waiting for an operator",
  unreadable: "unreadable",
} as const satisfies Record<RelationState | "waiting" | "unreadable", string>;

export type OrderCounts = Record<keyof typeof TITLES, number>;

/** Counts that are only shown where there is something to count. */
const RARE: (keyof OrderCounts)[] = ["GONE", "waiting", "unreadable"];

/**
 * Counts by stage, from the whole of both collections.
 * @throws Error where they can't be read
 */
export async function countOrders(documents: (collection: string) => Promise<Document[]>): Promise<OrderCounts> {
  const [relations, attempts] = await Promise.all([documents(RELATIONS), documents(ATTEMPTS)]);
  return countsIn(relations, attempts);
}

/** Counts these documents by stage. */
export function countsIn(relations: Document[], attempts: Document[]): OrderCounts {
  const states = Object.keys(TITLES).map((name) => [name, 0] as const);
  const counts = Object.fromEntries(states) as OrderCounts;
  for (const { path, fields } of relations) {
    const state = readable(() => parseRelation(path, fields));
    if (state === "unreadable") counts.unreadable++;
    else if (state.state) counts[state.state]++;
  }
  for (const { path, fields } of attempts) {
    const attempt = readable(() => attemptIn({ path, fields, version: "" }));
    if (attempt === "unreadable") counts.unreadable++;
    else if (attempt && (attempt.state === "PARKED" || attempt.state === "UNCERTAIN")) counts.waiting++;
  }
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
