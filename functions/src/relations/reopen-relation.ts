/** Reopens a closed relation: its order is active after all, and continues with its existing links. */
import { ConflictError } from "../domain/errors.js";
import { advanced, type Outcome, skipped } from "../domain/outcome.js";
import type { Ports, Snapshot, Write } from "../ports.js";
import { reopeningEntry } from "./history.js";
import { parseRelation, type Relation, stateFields, stateOfLinks } from "./relation.js";

/**
 * The writes that set a closed relation back to the state of its links, with a history entry.
 * @returns undefined for a relation without links, which has no such state
 */
export function reopeningWrites({ path, fields, version }: Snapshot, at: number): Write[] | undefined {
  const relation = parseRelation(path, fields);
  const state = stateOfLinks(relation);
  if (!state) return undefined;
  const update = { ...stateFields(relation, state, at), trouble: null };
  return [{ kind: "update", path, version, fields: update }, reopeningEntry(relation.order, state, at)];
}

/**
 * Sets a closed relation back to the state of its links. The event of this write reports the state to the food service.
 * @throws StoreError
 */
export async function reopenRelation(snapshot: Snapshot, relation: Relation, ports: Ports): Promise<Outcome> {
  const writes = reopeningWrites(snapshot, ports.clock.now());
  if (!writes) return skipped(`the relation is ${relation.state} and has no links`);
  try {
    await ports.store.commit(writes);
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    return skipped("the relation was changed concurrently");
  }
  const state = stateOfLinks(relation);
  return state ? advanced(state) : skipped("the relation has no links");
}
