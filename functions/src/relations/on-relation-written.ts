/** Reacts to a relation that came to a new state: tells the food service, and takes over what another program linked. */
import { ConflictError } from "../domain/errors.js";
import { advanced, type Outcome, skipped } from "../domain/outcome.js";
import type { Ports, Snapshot } from "../ports.js";
import { adoptLinks } from "./adopt-links.js";
import { relationIn } from "./relation.js";
import { reportStatus } from "./report-status.js";

/** What a Firestore trigger brings: the document before and after the write, undefined where there was or is none. */
export interface RelationChange {
  before: Snapshot | undefined;
  after: Snapshot | undefined;
  /** When it was written, in milliseconds since the epoch by Firestore's clock, where that is known. */
  at?: number;
}

/**
 * Events come more than once and in any order: a report of an older state finds the order further along.
 * @throws CallError, StoreError, ValidationError
 */
export async function onRelationWritten({ before, after }: RelationChange, ports: Ports): Promise<Outcome> {
  const relation = relationIn(after);
  if (!after || !relation?.state) return skipped("the relation is deleted or empty");
  if (after.fields.state !== relation.state) return adoptUnlessChanged(after, ports);
  // Compares the stored states: the links of another program are reported once they are adopted.
  if (before?.fields.state === relation.state) return skipped(`the relation was ${relation.state} before`);
  return reportStatus(after, relation, ports);
}

/** Writes the state that another program's link brought about; the event of that write brings the report. */
async function adoptUnlessChanged(snapshot: Snapshot, ports: Ports): Promise<Outcome> {
  try {
    const { relation } = await adoptLinks(snapshot, ports);
    return relation.state ? advanced(relation.state) : skipped("the relation is empty");
  } catch (error) {
    if (error instanceof ConflictError) return skipped("the relation has changed since; that write has its own event");
    throw error;
  }
}
