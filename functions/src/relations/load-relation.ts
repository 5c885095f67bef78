/** What every stage does first: read the order's relation, and report again where the order is behind it. */
import { RELATION_STATES } from "../domain/order-lifecycle.js";
import type { Result } from "../domain/outcome.js";
import type { Ports, Snapshot } from "../ports.js";
import { adopt } from "./adopt-links.js";
import { type Relation, relationIn, relationPath } from "./relation.js";
import { report } from "./report-status.js";

/**
 * The relation of the order with this id, or the result where the stage has nothing to add: it has the link that the
 * stage would make, or it is closed, so that all there is to do is to tell the food service again.
 * @throws MalformedError for a document that must not be touched, ConflictError where it changes at that moment
 */
export async function readUnlessDone(
  id: string,
  link: "kitchen" | "shipment" | undefined,
  ports: Ports,
): Promise<{ snapshot: Snapshot | undefined; relation: Relation | undefined } | { done: Result }> {
  const [snapshot] = await ports.store.read(relationPath(id));
  const relation = relationIn(snapshot);
  const closed = relation?.state !== undefined && !RELATION_STATES[relation.state].open;
  if (relation && (closed || (link && relation[link] !== undefined))) return { done: await report(relation, ports) };
  if (!snapshot || !relation?.state || snapshot.fields.state === relation.state) return { snapshot, relation };
  return adopt(snapshot, ports);
}
