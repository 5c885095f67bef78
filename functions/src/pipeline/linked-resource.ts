/**
 * Reads the kitchen order or shipment that a relation links, or that this instance remembers it to link. If it is not found again and
 * again, an operator is asked.
 */
import { park } from "../attempts/park.js";
import { RESOURCES, type Resource } from "../attempts/resources.js";
import { countLook } from "../domain/absence.js";
import { meansNothing } from "../domain/errors.js";
import type { CreatingStage } from "../domain/order-lifecycle.js";
import { blocked, type Outcome, skipped } from "../domain/outcome.js";
import type { Ports, Snapshot, WaitingOrder } from "../ports.js";
import { isSameOrder, type Relation } from "../relations/relation.js";
import { writeTrouble } from "../relations/report-status.js";

/** What an order waits for, or else what was read, if anything: then its relation must be read. */
export type AwaitedLink<S extends CreatingStage> =
  | { kind: "waiting"; resource: Resource<S> }
  | { kind: "unknown"; resource?: Resource<S> };

/**
 * Reads what an order waits for by the link that this instance remembers: an idle tick reads no document.
 * @throws CallError if the food service says nothing about the link
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
    if (!meansNothing(error)) throw error;
    // An operator may have replaced it. If not, its relation counts the looks that found nothing.
    ports.links.forget(stage, order);
    return { kind: "unknown" };
  }
}

/** Whether an order has to wait for what is linked. */
function isAwaited<S extends CreatingStage>(stage: S, resource: Resource<S>): boolean {
  return (RESOURCES[stage].isAwaited as (resource: Resource<S>) => boolean)(resource);
}

export type LinkedResource<S extends CreatingStage> =
  | { kind: "found"; resource: Resource<S>; snapshot: Snapshot }
  | { kind: "missing"; outcome: Outcome };

/**
 * Reads what is linked, unless that was read just now, and remembers the link if the order has to wait for it. If the food service does
 * not find it, counts the look on the relation; after several looks over MISSING_AFTER_MINUTES it parks the order. The relation's
 * document may change: use the one that is returned.
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
    if (!meansNothing(error)) throw error;
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

/** Whether nothing is wrong with an order, and its relation is not that of an earlier order with its name. */
function isHealthy({ placedAt }: WaitingOrder, relation: Relation): boolean {
  const isSame = placedAt === undefined || isSameOrder(relation, { placedAt: new Date(placedAt) });
  return isSame && Object.values(relation.trouble).every((trouble) => trouble === undefined);
}
