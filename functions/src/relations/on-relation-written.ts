/** Reacts to a relation that came to a new state: keeps the history and tells the food service. */
import { ConflictError } from "../errors.js";
import type { RelationState } from "../life-cycle.js";
import type { Ports, Snapshot } from "../ports.js";
import { nothing, type Result } from "../result.js";
import { type Relation, relationIn } from "./document.js";
import { report } from "./report.js";

/** What a Firestore trigger brings: the document before and after the write, undefined where there was or is none. */
export interface RelationChange {
  before: Snapshot | undefined;
  after: Snapshot | undefined;
}

/**
 * Events come more than once and in any order: the history entry is named after the state, and a report of an older
 * state finds the order further along.
 * @throws CallError, StoreError, MalformedError
 */
export async function onRelationWritten(change: RelationChange, ports: Ports): Promise<Result> {
  const relation = relationIn(change.after);
  if (!change.after || !relation?.state) return nothing("the relation is deleted or empty");
  if (stateBefore(change.before) === relation.state) return nothing(`the relation was ${relation.state} before`);
  await keepHistory(change.after.path, relation, relation.state, ports);
  return report(relation, ports);
}

/** A document that could not be read before was in no state that anybody was told of. */
function stateBefore(before: Snapshot | undefined): RelationState | undefined {
  try {
    return relationIn(before)?.state;
  } catch {
    return undefined;
  }
}

async function keepHistory(path: string, relation: Relation, state: RelationState, ports: Ports): Promise<void> {
  const at = relation.times[state] ?? new Date(ports.clock.now());
  const links = {
    ...(relation.kitchen && { kitchen: relation.kitchen }),
    ...(relation.shipment && { shipment: relation.shipment }),
  };
  try {
    await ports.store.commit([{ kind: "create", path: `${path}/history/${state}`, fields: { state, at, ...links } }]);
  } catch (error) {
    // The entry is there already: the event came twice.
    if (!(error instanceof ConflictError)) throw error;
  }
}
