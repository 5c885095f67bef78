/** Reopens a closed relation: its order is active after all, and continues with its existing links. */
import { commitIfUnchanged } from "../commit-if-unchanged.js";
import type { RelationState } from "../domain/order-lifecycle.js";
import { advanced, type Outcome, skipped } from "../domain/outcome.js";
import type { Ports, Snapshot, Write } from "../ports.js";
import { reopeningEntry } from "./history.js";
import { parseRelation, type Relation, stateFields, stateOfLinks } from "./relation.js";

/**
 * The state of a closed relation's links, and the writes that set the relation back to it, with a history entry.
 * @returns undefined for a relation without links, which has no such state
 */
export function planReopening(
  { path, fields, version }: Snapshot,
  at: number,
): { state: RelationState; writes: Write[] } | undefined {
  const relation = parseRelation(path, fields);
  const state = stateOfLinks(relation);
  if (!state) return undefined;
  const update = { ...stateFields(relation, state, at), trouble: null };
  const writes: Write[] = [
    { kind: "update", path, version, fields: update },
    reopeningEntry(relation.order, state, at),
  ];
  return { state, writes };
}

/**
 * Sets a closed relation back to the state of its links. The event of this write reports the state to the food service.
 * @throws StoreError
 */
export async function reopenRelation(snapshot: Snapshot, relation: Relation, ports: Ports): Promise<Outcome> {
  const plan = planReopening(snapshot, ports.clock.now());
  if (!plan) return skipped(`the relation is ${relation.state} and has no links`);
  if (await commitIfUnchanged(plan.writes, ports)) return advanced(plan.state);
  return skipped("the relation was changed concurrently");
}
