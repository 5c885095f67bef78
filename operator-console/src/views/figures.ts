/** Figures that several views derive from what is watched. */
import type { HourView } from "../../../functions/src/operator-api/schemas.js";
import type { Attention } from "../documents.js";

/** How many orders ended in these hours, whatever the outcome. */
export function completedIn(hours: readonly HourView[]): number {
  return hours.reduce(
    (sum, { DELIVERED, REJECTED, CANCELLED, GONE }) => sum + DELIVERED + REJECTED + CANCELLED + GONE,
    0,
  );
}

/** Orders with the same stage, state, reason and message together, the largest group first, and in each the longest waiting first. */
export function groupByReason(attention: Iterable<Attention>): Attention[][] {
  const groups = new Map<string, Attention[]>();
  for (const one of attention) {
    const key = JSON.stringify([one.stage, one.state, one.code, one.message]);
    const group = groups.get(key);
    if (group) group.push(one);
    else groups.set(key, [one]);
  }
  for (const group of groups.values()) {
    const at = ({ since }: Attention) => since?.getTime() ?? 0;
    group.sort((one, other) => at(one) - at(other) || (one.order < other.order ? -1 : 1));
  }
  return [...groups.entries()]
    .toSorted(([key, one], [otherKey, other]) => other.length - one.length || (key < otherKey ? -1 : 1))
    .map(([, group]) => group);
}
