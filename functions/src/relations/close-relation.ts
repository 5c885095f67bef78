/** Ends a relation: by its shipment's outcome, or because its order ended in the food service. */
import { ConflictError } from "../domain/errors.js";
import type { RelationState } from "../domain/order-lifecycle.js";
import { advanced, type Outcome } from "../domain/outcome.js";
import type { Ports, Snapshot, Write } from "../ports.js";
import { closingEntry } from "./history.js";
import { parseRelation, relationIn, stateFields } from "./relation.js";

/**
 * Writes the final state to the relation, and its history entry, in one commit.
 * @throws ConflictError if the relation has changed since it was read, StoreError
 */
export async function closeRelation(snapshot: Snapshot, state: RelationState, ports: Ports): Promise<Outcome> {
  const { path, version } = snapshot;
  const at = ports.clock.now();
  const relation = parseRelation(path, snapshot.fields);
  const fields = { ...stateFields(relation, state, at), ...(snapshot.fields.trouble ? { trouble: null } : {}) };
  const update: Write = { kind: "update", path, version, fields };
  try {
    await ports.store.commit([update, closingEntry(relation.order, state, at)]);
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    // The client may retry a commit that already succeeded, so a conflict can be our own write.
    const [now] = await ports.store.read(path);
    if (relationIn(now)?.state === state) return advanced(state);
    // If the order had ended like this before and was reopened, this end has its own entry. If the relation has changed, this conflicts too.
    await ports.store.commit([update, closingEntry(relation.order, state, at, at)]);
  }
  return advanced(state);
}
