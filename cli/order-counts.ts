/** Counts orders by state, from the relations, the attempts and the food service. */
import {
  ATTEMPT_STATES,
  ATTEMPTS,
  type AttemptState,
  attemptIn,
  attemptPath,
} from "../functions/src/attempts/attempt.js";
import { RELATION_STATES, type RelationState, STATE_TITLES } from "../functions/src/domain/order-lifecycle.js";
import { recordOf } from "../functions/src/domain/record-of.js";
import { orderRef } from "../functions/src/domain/resource-names.js";
import type { Snapshot, Store } from "../functions/src/ports.js";
import { RELATIONS, relationPath } from "../functions/src/relations/relation.js";
import type { NewOrders } from "../local/food-service-view.js";

const STATES = Object.keys(RELATION_STATES) as RelationState[];
const AWAITING = (Object.keys(ATTEMPT_STATES) as AttemptState[]).filter((state) => ATTEMPT_STATES[state].needsOperator);

/** The label of each count. */
const TITLES = {
  ...recordOf(["NEW", ...STATES], (state): string => STATE_TITLES[state].toLowerCase()),
  waiting: "waiting for an operator",
};

export type OrderCounts = Record<keyof typeof TITLES, number> & {
  /** How complete the count of NEW orders is: all of them, only the first page, or unknown. */
  newIs: "exact" | "at least" | "unknown";
};

/** Counts that are shown only if they are not zero. */
const RARE: (keyof typeof TITLES)[] = ["GONE", "waiting"];

/**
 * Counts orders by state. It reads only the documents of NEW orders, however many have completed.
 * @param newOrders lists the orders that are NEW in the food service
 * @throws Error if the documents can't be counted
 */
export async function countOrders(
  store: Pick<Store, "count" | "read">,
  newOrders: () => Promise<NewOrders>,
): Promise<OrderCounts> {
  // A food service that is unavailable for a moment must not hide the other counts.
  const listed = newOrders().catch(() => undefined);
  const count = (collection: string, oneOf: string[]) => store.count({ collection, field: "state", oneOf });
  const [waiting, ...counts] = await Promise.all([
    count(ATTEMPTS, AWAITING),
    ...STATES.map((state) => count(RELATIONS, [state])),
  ]);
  const byState = Object.fromEntries(STATES.map((state, index) => [state, counts[index] ?? 0]));
  const { names = [], isAll } = (await listed) ?? {};
  const newIs = isAll === undefined ? "unknown" : isAll ? "exact" : "at least";
  return { ...(byState as Record<RelationState, number>), waiting, NEW: await countNew(names, store), newIs };
}

/** NEW orders without a relation that need no operator. */
async function countNew(names: string[], store: Pick<Store, "read">): Promise<number> {
  const ids = names.flatMap((name) => orderRef(name)?.id ?? []);
  if (ids.length === 0) return 0;
  const [relations, attempts] = await Promise.all([
    store.read(...ids.map(relationPath)),
    store.read(...ids.map((id) => attemptPath("kitchen", id))),
  ]);
  return ids.filter((_, index) => relations[index] === undefined && !needsOperator(attempts[index])).length;
}

function needsOperator(found: Snapshot | undefined): boolean {
  try {
    const attempt = attemptIn(found);
    return attempt !== undefined && ATTEMPT_STATES[attempt.state].needsOperator;
  } catch {
    // The console shows unreadable attempts.
    return false;
  }
}

/** Such as "1 new, 2 in preparation, 1 in flight, 7 delivered, 0 rejected, 0 cancelled"; "640+ new" if there are more, "? new" if unknown. */
export function lineOf(counts: OrderCounts): string {
  const shown = (Object.keys(TITLES) as (keyof typeof TITLES)[]).filter(
    (name) => counts[name] > 0 || !RARE.includes(name),
  );
  const newOrders = { exact: `${counts.NEW}`, "at least": `${counts.NEW}+`, unknown: "?" }[counts.newIs];
  return shown.map((name) => `${name === "NEW" ? newOrders : counts[name]} ${TITLES[name]}`).join(", ");
}
