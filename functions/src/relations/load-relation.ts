/** The first step of every stage: loads the order's relation, or reconciles it if the stage has nothing to add. */
import { type CreatingStage, isOpen, RELATION_STATES } from "../domain/order-lifecycle.js";
import type { Outcome } from "../domain/outcome.js";
import type { OrderRef } from "../domain/resource-names.js";
import type { Ports, Snapshot } from "../ports.js";
import { adoptLinks } from "./adopt-links.js";
import { comeBack } from "./come-back.js";
import { parseRelation, type Relation, relationPath } from "./relation.js";
import { reportAgain } from "./report-status.js";

export type LoadedRelation =
  | { kind: "loaded"; snapshot: Snapshot | undefined; relation: Relation | undefined }
  | { kind: "reconciled"; outcome: Outcome };

/**
 * Loads the relation of an order. If it has the link that the stage would make, or is closed, reports its status to the
 * food service instead, since the order is behind it. If another program added a link, adopts it with a commit first.
 * @param link the link that the stage would make, undefined for a stage that makes none
 * @throws ValidationError for a document that must not be touched, ConflictError if it changes at this moment,
 * CallError, StoreError
 */
export async function loadOrReconcile(
  ref: OrderRef,
  link: CreatingStage | undefined,
  ports: Ports,
): Promise<LoadedRelation> {
  const [snapshot] = await ports.store.read(relationPath(ref.id));
  if (!snapshot) return { kind: "loaded", snapshot, relation: undefined };
  const relation = parseRelation(snapshot.path, snapshot.fields);
  const { state } = relation;
  const isClosed = state !== undefined && !isOpen(state);
  if (isClosed && !RELATION_STATES[state].reports) {
    return { kind: "reconciled", outcome: await comeBack(ref, snapshot, relation, ports) };
  }
  if (isClosed || (link && relation[link] !== undefined)) {
    return { kind: "reconciled", outcome: await reportAgain(snapshot, relation, ports) };
  }
  if (snapshot.fields.state === state) return { kind: "loaded", snapshot, relation };
  return { kind: "loaded", ...(await adoptLinks(snapshot, ports)) };
}
