/** What an operator decides about an order that waits: link what was found, or try the create again. */
import { DuplicateError, MalformedError } from "../errors.js";
import type { CreatingStage } from "../life-cycle.js";
import { isNameOf, orderId } from "../names.js";
import type { Ports, Snapshot, Write } from "../ports.js";
import { moved, type Result, refused } from "../result.js";
import { ATTEMPT_STATES, attemptIn, attemptPath, STRANDED } from "./attempt.js";
import { createdFields, linkWrite } from "./create-once.js";
import { relationIn, relationPath } from "./document.js";
import { linkEntry, linkEntryPath, ownerIn } from "./history.js";

export interface Resolution {
  /** The order's name. */
  order: string;
  stage: CreatingStage;
  /** The name of the kitchen order or shipment that the operator found; without it the create is tried again. */
  link?: string;
  /** Who decided, and why, in their own words. */
  by: string;
  reason: string;
}

type Needs = Pick<Ports, "store" | "food" | "clock" | "random">;

/**
 * Carries a resolution out and keeps an audit entry, both or neither.
 * @throws ConflictError where the attempt or the relation has changed since it was read, DuplicateError where the name is
 * linked to another order, CallError where the food service does not know the name, MalformedError for bad names
 */
export async function resolve(resolution: Resolution, ports: Needs): Promise<Result> {
  const { order: name, stage, link } = resolution;
  const id = orderId(name);
  if (id === undefined) throw new MalformedError(`${name} is not an order's name, which is like orders/1234`);
  const [found, relationFound] = await ports.store.read(attemptPath(stage, id), relationPath(id));
  const attempt = attemptIn(found);
  if (!found || !attempt) return refused(`there is no ${stage} attempt of ${name}`);
  if (!ATTEMPT_STATES[attempt.state].needsOperator)
    return refused(`the ${stage} attempt of ${name} is ${attempt.state}`);

  const audit = auditWrite(resolution, ports);
  if (link === undefined && attempt.reason?.code === STRANDED) {
    return refused(`nothing was sent for ${name}, and its status says that somebody else did: link what they created`);
  }
  if (link === undefined) {
    // The operator knows that nothing was created: the next poll claims the attempt anew.
    const fields = { state: "FAILED", tries: 0, nextTryAt: new Date(ports.clock.now()), reason: null };
    await ports.store.commit([{ kind: "update", path: found.path, version: found.version, fields }, audit]);
    return moved("FAILED");
  }
  const linked = relationIn(relationFound)?.[stage];
  if (linked !== undefined) return refused(`${name} is linked to ${linked} already`);
  await expectKnown(stage, link, ports);
  return keep(resolution, link, { id, attempt: found, relation: relationFound }, ports);
}

async function expectKnown(stage: CreatingStage, link: string, { food }: Needs): Promise<void> {
  if (!isNameOf(stage, link)) throw new MalformedError(`${link} can't be the name of what the ${stage} stage creates`);
  await (stage === "kitchen" ? food.getKitchenOrder(link) : food.getShipment(link));
}

async function keep(
  resolution: Resolution,
  link: string,
  found: { id: string; attempt: Snapshot; relation: Snapshot | undefined },
  ports: Needs,
): Promise<Result> {
  const { order: name, stage } = resolution;
  const { id } = found;
  const entryPath = linkEntryPath(stage, link);
  const [[entry], order] = await Promise.all([ports.store.read(entryPath), ports.food.getOrder(name)]);
  const owner = ownerIn(entry);
  if (owner !== undefined) throw new DuplicateError(entryPath, `${link} is linked to ${owner} already`);
  await ports.store.commit([
    linkWrite({ stage, id, order }, found.relation, link, ports),
    { kind: "update", path: found.attempt.path, version: found.attempt.version, fields: createdFields(link, ports) },
    linkEntry(name, stage, link, ports.clock.now()),
    auditWrite(resolution, ports),
  ]);
  return moved("CREATED");
}

function auditWrite({ order, stage, link, by, reason }: Resolution, { random, clock }: Needs): Write {
  const fields = { order, stage, action: link === undefined ? "try again" : "link", name: link ?? null, by, reason };
  return { kind: "create", path: `audit/${random.uuid()}`, fields: { ...fields, at: new Date(clock.now()) } };
}
