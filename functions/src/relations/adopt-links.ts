/** Adopts links that another program, such as an older scheduler, added to a relation. */

import { ValidationError } from "../domain/errors.js";
import { CREATING_STAGES } from "../domain/order-lifecycle.js";
import type { Ports, Snapshot } from "../ports.js";
import { linkEntry, linkEntryPath, linkedOrder } from "./history.js";
import { parseRelation, type Relation, stateFields } from "./relation.js";

/**
 * Sets the relation's state according to its links, so the sweep finds it when its order ends, and writes a history entry for
 * each link.
 * @throws ConflictError if it has changed since it was read, ValidationError if a link belongs to another order, StoreError
 */
export async function adoptLinks(
  snapshot: Snapshot,
  { store, clock }: Pick<Ports, "store" | "clock">,
): Promise<{ snapshot: Snapshot; relation: Relation }> {
  const { path, version } = snapshot;
  const relation = parseRelation(path, snapshot.fields);
  if (!relation.state) return { snapshot, relation };
  const links = CREATING_STAGES.flatMap((stage) =>
    relation[stage] === undefined ? [] : [{ stage, name: relation[stage] }],
  );
  const entries = await store.read(...links.map(({ stage, name }) => linkEntryPath(stage, name)));
  const at = clock.now();
  const missing = links.flatMap(({ stage, name }, index) => {
    const owner = linkedOrder(entries[index]);
    if (owner === undefined) return [linkEntry(relation.order, stage, name, at)];
    if (owner === relation.order) return [];
    throw new ValidationError(`${path} links ${name}, which is linked to ${owner} already`);
  });
  const fields = stateFields(relation, relation.state, at);
  const [adopted = version] = await store.commit([{ kind: "update", path, version, fields }, ...missing]);
  return { snapshot: { path, fields: { ...snapshot.fields, ...fields }, version: adopted }, relation };
}
