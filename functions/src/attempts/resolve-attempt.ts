/** What an operator decides about an order that waits: link what was found, or try the create again. */
import { ConflictError, DuplicateError, MalformedError } from "../domain/errors.js";
import type { CreatingStage } from "../domain/order-lifecycle.js";
import { isNameOf, orderId } from "../domain/resource-names.js";
import type { Ports, Snapshot, Write } from "../ports.js";
import { linkEntry, linkEntryPath, ownerIn } from "../relations/history.js";
import { relationIn, relationPath } from "../relations/relation.js";
import { ATTEMPT_STATES, attemptIn, attemptPath, STRANDED } from "./attempt.js";
import { auditEntry, auditPath, fingerprintOf } from "./audit.js";
import { linkWrite } from "./create-once.js";

export interface Resolution {
  /** The order's name. */
  order: string;
  stage: CreatingStage;
  /** The name of the kitchen order or shipment that the operator found; without it the create is tried again. */
  link?: string;
  /** Who decided, and why, in their own words. */
  by: string;
  reason: string;
  /** The attempt's version that the operator saw; without it, whichever it has. */
  version?: string;
  /** The idempotency key: the same decision with the same key is carried out once. Without it, every call is new. */
  key?: string;
}

/** Why a decision is not carried out. */
export type Refusal = "no attempt" | "not waiting" | "must be linked" | "linked already" | "key reused" | "changed";

/** What a decision brings about: the link, or another try. */
type Decided = "LINKED" | "FAILED";

export type Resolved =
  | { outcome: "moved"; to: Decided; entry: Snapshot; isRepeat: boolean }
  | { outcome: "refused"; because: Refusal; reason: string };

type Needs = Pick<Ports, "store" | "food" | "clock" | "random">;

/**
 * Carries a resolution out and keeps an audit entry, both or neither.
 * @throws ConflictError where the attempt or the relation changed at that moment, DuplicateError where the name is
 * linked to another order, CallError where the food service does not know the name, MalformedError for bad names
 */
export async function resolve(resolution: Resolution, ports: Needs): Promise<Resolved> {
  const { order: name, stage, link } = resolution;
  const id = orderId(name);
  if (id === undefined) throw new MalformedError(`${name} is not an order's name, which is like orders/1234`);
  if (link !== undefined && !isNameOf(stage, link)) {
    throw new MalformedError(`${link} can't be the name of what the ${stage} stage creates`);
  }
  const entryPath = auditPath(resolution.key ?? ports.random.uuid());
  const [entry, found, relationFound] = await ports.store.read(entryPath, attemptPath(stage, id), relationPath(id));
  if (entry) return repeated(entry, resolution);
  const refusal = refusalOf(resolution, found, relationFound);
  if (refusal || !found) return refusal ?? refused("no attempt", "");

  const writes =
    link === undefined
      ? [tryAgain(found, ports)]
      : await linking(resolution, link, { id, attempt: found, relation: relationFound }, ports);
  const { by, reason } = resolution;
  const decided = {
    order: name,
    stage,
    action: link === undefined ? "try again" : "link",
    name: link ?? null,
    by,
    reason,
  };
  const audit = auditEntry(entryPath, { ...decided, request: requestOf(resolution) }, ports.clock.now());
  try {
    const versions = await ports.store.commit([...writes, audit]);
    const snapshot = { path: entryPath, fields: audit.fields, version: versions.at(-1) ?? "" };
    return { outcome: "moved", to: endOf(resolution), entry: snapshot, isRepeat: false };
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    // A commit that was retried below us, or the same request at the same moment, may have been first.
    const [first] = await ports.store.read(entryPath);
    if (!first) throw error;
    return repeated(first, resolution);
  }
}

function refused(because: Refusal, reason: string): Resolved {
  return { outcome: "refused", because, reason };
}

/** Why this can't be decided, given what is there; undefined where it can. */
function refusalOf(
  { order: name, stage, link, version }: Resolution,
  found: Snapshot | undefined,
  relationFound: Snapshot | undefined,
): Resolved | undefined {
  const attempt = attemptIn(found);
  const linked = relationIn(relationFound)?.[stage];
  // Where the link is kept there is no attempt any more.
  if (linked !== undefined && (link !== undefined || !attempt))
    return refused("linked already", `${name} is linked to ${linked} already`);
  if (!found || !attempt) return refused("no attempt", `There is no ${stage} attempt of ${name}`);
  if (version !== undefined && version !== found.version) {
    return refused(
      "changed",
      `The ${stage} attempt of ${name} has changed since you looked; it is ${attempt.state} now`,
    );
  }
  if (!ATTEMPT_STATES[attempt.state].needsOperator) {
    return refused("not waiting", `The ${stage} attempt of ${name} is ${attempt.state}`);
  }
  if (link === undefined && attempt.reason?.code === STRANDED) {
    const reason = `Nothing was sent for ${name}, and its status says that somebody else did: link what they created`;
    return refused("must be linked", reason);
  }
  return undefined;
}

/** The operator knows that nothing was created: the next poll claims the attempt anew. */
function tryAgain({ path, version }: Snapshot, { clock }: Needs): Write {
  const fields = { state: "FAILED", tries: 0, nextTryAt: new Date(clock.now()), reason: null };
  return { kind: "update", path, version, fields };
}

async function linking(
  { order: name, stage }: Resolution,
  link: string,
  found: { id: string; attempt: Snapshot; relation: Snapshot | undefined },
  ports: Needs,
): Promise<Write[]> {
  const { store, food, clock } = ports;
  const entryPath = linkEntryPath(stage, link);
  const known = stage === "kitchen" ? food.getKitchenOrder(link) : food.getShipment(link);
  const [[entry], order] = await Promise.all([store.read(entryPath), food.getOrder(name), known]);
  const owner = ownerIn(entry);
  if (owner !== undefined) throw new DuplicateError(entryPath, `${link} is linked to ${owner} already`);
  const { path, version } = found.attempt;
  return [
    linkWrite({ stage, id: found.id, order }, found.relation, link, ports),
    { kind: "delete", path, version },
    linkEntry(name, stage, link, clock.now(), attemptIn(found.attempt)?.id),
  ];
}

function repeated(entry: Snapshot, resolution: Resolution): Resolved {
  if (entry.fields.request !== requestOf(resolution)) {
    return refused("key reused", "The same key came with another decision before; send each with a key of its own");
  }
  return { outcome: "moved", to: endOf(resolution), entry, isRepeat: true };
}

function endOf({ link }: Resolution): Decided {
  return link === undefined ? "FAILED" : "LINKED";
}

function requestOf({ order, stage, link, reason, version }: Resolution): string {
  return fingerprintOf({ order, stage, link: link ?? null, reason, version: version ?? null });
}
