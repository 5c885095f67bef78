/**
 * Reads the kitchen order or shipment that a relation links, by the relation or by this instance's cache. If it is repeatedly not
 * found, an operator is asked.
 */
import { park } from "../attempts/park.js";
import { RESOURCES, type Resource } from "../attempts/resources.js";
import { countLook } from "../domain/absence.js";
import { isNotFound } from "../domain/errors.js";
import type { CreatingStage } from "../domain/order-lifecycle.js";
import { blocked, type Outcome, skipped } from "../domain/outcome.js";
import type { Ports, Snapshot, WaitingOrder } from "../ports.js";
import { isSameOrder, type Relation } from "../relations/relation.js";
import { writeTrouble } from "../relations/report-status.js";

/** Either the order waits, or its relation must be read; then with the resource, if it was read. */
export type AwaitedLink<S extends CreatingStage> =
  | { kind: "waiting"; resource: Resource<S> }
  | { kind: "unknown"; resource?: Resource<S> };

/**
 * Reads what an order waits for by the cached link, so an idle tick reads no document.
 * @throws CallError if the lookup fails for another reason than an unknown name
 */
export async function readRemembered<S extends CreatingStage>(
  stage: S,
  order: WaitingOrder,
  ports: Ports,
): Promise<AwaitedLink<S>> {
  const name = ports.links.find(stage, order);
  if (name === undefined) return { kind: "unknown" };
  try {
    const resource = (await RESOURCES[stage].get(ports.food, name)) as Resource<S>;
    if (isAwaited(stage, resource)) return { kind: "waiting", resource };
    ports.links.forget(stage, order);
    return { kind: "unknown", resource };
  } catch (error) {
    if (!isNotFound(error)) throw error;
    // An operator may have replaced the link. If not, its relation counts the lookups that found nothing.
    ports.links.forget(stage, order);
    return { kind: "unknown" };
  }
}

/** Whether an order has to wait for the linked resource. */
function isAwaited<S extends CreatingStage>(stage: S, resource: Resource<S>): boolean {
  return (RESOURCES[stage].isAwaited as (resource: Resource<S>) => boolean)(resource);
}

export type LinkedResource<S extends CreatingStage> =
  | { kind: "found"; resource: Resource<S>; snapshot: Snapshot }
  | { kind: "missing"; outcome: Outcome };

/**
 * Reads the linked resource, unless it was just read, and caches the link if the order has to wait for it. If the food service does
 * not find it, counts the lookup in the relation, and parks the order after several lookups over MISSING_AFTER_MINUTES. The relation's
 * document may change: use the returned one.
 * @param seen what `readRemembered` has read
 * @throws CallError for every other failure, StoreError
 */
export async function readLinked<S extends CreatingStage>(
  stage: S,
  name: string,
  { ref, snapshot, relation }: { ref: WaitingOrder; snapshot: Snapshot; relation: Relation },
  ports: Ports,
  seen?: Resource<S>,
): Promise<LinkedResource<S>> {
  const { trouble } = relation;
  try {
    const resource = seen?.name === name ? seen : ((await RESOURCES[stage].get(ports.food, name)) as Resource<S>);
    if (isAwaited(stage, resource) && isHealthy(ref, relation)) ports.links.remember(stage, ref, name);
    if (!trouble.missingLink) return { kind: "found", resource, snapshot };
    const healed = await writeTrouble(snapshot, { ...trouble, missingLink: undefined }, ports);
    return { kind: "found", resource, snapshot: healed };
  } catch (error) {
    if (!isNotFound(error)) throw error;
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

/** Whether an order has no trouble, and its relation does not belong to an earlier order with the same name. */
function isHealthy({ placedAt }: WaitingOrder, relation: Relation): boolean {
  const isSame = placedAt === undefined || isSameOrder(relation, { placedAt: new Date(placedAt) });
  return isSame && Object.values(relation.trouble).every((trouble) => trouble === undefined);
}
