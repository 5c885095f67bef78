/** The write that links a kitchen order or a shipment to its order. */
import { type CreatingStage, isOpen, STAGES } from "../domain/order-lifecycle.js";
import { isStorableName, type OrderRef } from "../domain/resource-names.js";
import { storableTime } from "../domain/storable.js";
import { documentBytes, MAX_DOCUMENT_BYTES } from "../firestore-limits.js";
import type { Order, Ports, Snapshot, Write } from "../ports.js";
import { discardedField, relationIn, relationPath, stateFields, troubleField } from "../relations/relation.js";

/** An upper bound of what all links and states add to a relation, in bytes. */
const LINK_BYTES = 16_384;

/** Whether a relation has room for a link: the commit that saves the link must not fail. */
export function hasRoomForLink(snapshot: Snapshot | undefined): boolean {
  return !snapshot || documentBytes(snapshot.path, snapshot.fields) <= MAX_DOCUMENT_BYTES - LINK_BYTES;
}

/** The target of a link: the order as the food service showed it last, and the creating stage. */
export interface LinkTarget {
  stage: CreatingStage;
  ref: OrderRef;
  order: Order;
}

/**
 * The write that adds a link to a relation.
 * @param snapshot the relation's document, undefined if there is none
 * @param name the name of the kitchen order or shipment
 */
export function linkWrite(
  { stage, ref, order }: LinkTarget,
  snapshot: Snapshot | undefined,
  name: string,
  { clock }: Pick<Ports, "clock">,
): Write {
  const relation = relationIn(snapshot);
  // A relation that was closed concurrently stays closed; the link still records what was created.
  const isClosed = relation?.state !== undefined && !isOpen(relation.state);
  const placedAt = storableTime(order.placedAt);
  const fields = {
    [stage]: name,
    // A customer id or a time that the store would reject must not block the link.
    ...(isStorableName(order.customerId) && { customerId: order.customerId }),
    ...(placedAt && { placedAt }),
    ...(isClosed ? {} : stateFields(relation, STAGES[stage].creates.leadsTo, clock.now())),
    ...(relation?.trouble.missingLink && troubleField({ ...relation.trouble, missingLink: undefined })),
    // The new link is valid even if it is the discarded one that was found again.
    ...(relation?.discarded[stage] !== undefined && discardedField(relation.discarded, stage, undefined)),
  };
  const path = relationPath(ref.id);
  return snapshot ? { kind: "update", path, version: snapshot.version, fields } : { kind: "create", path, fields };
}
