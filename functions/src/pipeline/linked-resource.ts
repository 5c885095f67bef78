/** Reads the kitchen order or shipment that a relation links. If it is not found again and again, an operator is asked. */
import { park } from "../attempts/park.js";
import { RESOURCES, type Resource } from "../attempts/resources.js";
import { countLook } from "../domain/absence.js";
import { isCallError } from "../domain/errors.js";
import type { CreatingStage } from "../domain/order-lifecycle.js";
import { blocked, type Outcome, skipped } from "../domain/outcome.js";
import type { OrderRef } from "../domain/resource-names.js";
import type { Ports, Snapshot } from "../ports.js";
import type { Relation } from "../relations/relation.js";
import { writeTrouble } from "../relations/report-status.js";

/** The codes by which a food service says that a name means nothing to it; BAD_REPLY is an answer about something else. */
const NOT_FOUND_CODES = ["NOT_FOUND", "INVALID_ARGUMENT", "OUT_OF_RANGE", "BAD_REPLY"];

export type LinkedResource<S extends CreatingStage> =
  | { kind: "found"; resource: Resource<S>; snapshot: Snapshot }
  | { kind: "missing"; outcome: Outcome };

/**
 * Reads what is linked. If the food service does not find it, counts the look on the relation; after several looks over
 * MISSING_AFTER_MINUTES it parks the order. The relation's document may change: use the one that is returned.
 * @throws CallError for every other failure, StoreError
 */
export async function readLinked<S extends CreatingStage>(
  stage: S,
  name: string,
  { ref, snapshot, relation }: { ref: OrderRef; snapshot: Snapshot; relation: Relation },
  ports: Ports,
): Promise<LinkedResource<S>> {
  const { trouble } = relation;
  try {
    const resource = (await RESOURCES[stage].get(ports.food, name)) as Resource<S>;
    if (!trouble.missingLink) return { kind: "found", resource, snapshot };
    const healed = await writeTrouble(snapshot, { ...trouble, missingLink: undefined }, ports);
    return { kind: "found", resource, snapshot: healed };
  } catch (error) {
    if (!isCallError(error) || !NOT_FOUND_CODES.includes(error.code)) throw error;
    const earlier = trouble.missingLink?.name === name ? trouble.missingLink : undefined;
    const windowMs = ports.settings.MISSING_AFTER_MINUTES * 60_000;
    const { absence, isBelieved } = countLook(earlier, ports.clock.now(), windowMs);
    if (absence) await writeTrouble(snapshot, { ...trouble, missingLink: { ...absence, name } }, ports);
    const message = `the food service does not find ${name}: ${error.code} ${error.message}`.slice(0, 500);
    if (isBelieved) {
      return { kind: "missing", outcome: await park(stage, ref, { code: "LINK_NOT_FOUND", message }, ports) };
    }
    return { kind: "missing", outcome: absence ? blocked(message) : skipped(message) };
  }
}
