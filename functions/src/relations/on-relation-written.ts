/** Reacts to a changed relation: reports a new state to the food service, and adopts links of other programs. */
import { ConflictError } from "../domain/errors.js";
import type { RelationState } from "../domain/order-lifecycle.js";
import { advanced, type Outcome, skipped } from "../domain/outcome.js";
import type { Ports, Snapshot } from "../ports.js";
import { adoptLinks } from "./adopt-links.js";
import { relationIn } from "./relation.js";
import { reportStatus } from "./report-status.js";

/** A Firestore trigger's event: the document before and after the write, or undefined if it did not or does not exist. */
export interface RelationChange {
  before: Snapshot | undefined;
  after: Snapshot | undefined;
  /** When it was written, in milliseconds since the epoch by Firestore's clock, if known. */
  at?: number;
}

/**
 * Events are delivered more than once and in any order: the report of an older state finds the order further along.
 * @throws CallError, StoreError, ValidationError
 */
export async function onRelationWritten({ before, after }: RelationChange, ports: Ports): Promise<Outcome> {
  const relation = relationIn(after);
  if (!after || !relation?.state) return skipped("the relation is deleted or empty");
  if (after.fields.state !== relation.state) return adoptUnlessChanged(after, relation.state, ports);
  // Compares the stored states: the links of another program are reported once they are adopted.
  if (before?.fields.state === relation.state) return skipped(`the relation was ${relation.state} before`);
  return reportStatus(after, relation, ports);
}

/** Adopts the links that another program added. The event of this write then triggers the report. */
async function adoptUnlessChanged(snapshot: Snapshot, state: RelationState, ports: Ports): Promise<Outcome> {
  try {
    await adoptLinks(snapshot, ports);
    return advanced(state);
  } catch (error) {
    if (error instanceof ConflictError) return skipped("the relation has changed since; that write has its own event");
    throw error;
  }
}
