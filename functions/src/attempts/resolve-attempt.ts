/** Applies an operator's decision about an attempt: link, retry or dismiss. */
import { AlreadyLinkedError, ConflictError, ValidationError } from "../domain/errors.js";
import { CREATING_STAGES, type CreatingStage, isOpen, type RelationState, STAGES } from "../domain/order-lifecycle.js";
import { isPlausibleResourceName, type OrderRef, orderRef } from "../domain/resource-names.js";
import { storableText, storableTime } from "../domain/storable.js";
import type { Fields, Ports, Snapshot, Write } from "../ports.js";
import { closingEntry, linkEntry, linkEntryPath, linkedOrder } from "../relations/history.js";
import { discardedField, relationIn, relationPath, stateFields, troubleField } from "../relations/relation.js";
import { planReopening } from "../relations/reopen-relation.js";
import { ATTEMPT_STATES, attemptIn, attemptPath } from "./attempt.js";
import { auditEntry, auditPath, fingerprintOf } from "./audit.js";
import { linkWrite } from "./link.js";
import { type Action, actionsFor } from "./reason-codes.js";
import { RESOURCES } from "./resources.js";

export interface Resolution {
  /** The order's name. */
  order: string;
  stage: CreatingStage;
  /** The name of the kitchen order or shipment to link. Without it, and without `dismiss`, the decision is a retry. */
  link?: string;
  /** Close the attempt without further action. */
  dismiss?: true;
  /** Who decided, and why, in their own words. */
  by: string;
  reason: string;
  /** The attempt's version that the operator saw. Without it, any version is accepted. */
  version?: string;
  /** The id of the attempt's claim that the operator saw. Without it, any claim is accepted. */
  claim?: string;
  /** The idempotency key: the same decision with the same key is applied once. Without it, every call is a new decision. */
  key?: string;
}

/** Why a decision is not applied. */
export type RejectionCode =
  | "no attempt"
  | "not waiting"
  | "must be linked"
  | "not possible"
  | "linked already"
  | "key reused"
  | "changed";

/** The result of a decision: the link, a new create at the next poll, a relation that continues, or a closed attempt. */
export const RESOLVED_STATES = ["LINKED", "FAILED", "RESUMED", "CLOSED"] as const;

type ResolvedState = (typeof RESOLVED_STATES)[number];

type ResolveResult =
  | { outcome: "advanced"; to: ResolvedState; entry: Snapshot; isRepeat: boolean }
  | { outcome: "blocked"; code: RejectionCode; reason: string };

type ResolvePorts = Pick<Ports, "store" | "food" | "clock" | "random">;

/** The stored documents that a decision is about. */
interface Stored {
  ref: OrderRef;
  attempt: Snapshot;
  relation: Snapshot | undefined;
}

/**
 * Applies a decision and records it in the audit log: both or neither.
 * @throws ConflictError if the attempt or the relation changed at that moment, AlreadyLinkedError if the name is linked to
 * another order, CallError if the food service does not know the name, ValidationError for bad names, StoreError
 */
export async function resolveAttempt(resolution: Resolution, ports: ResolvePorts): Promise<ResolveResult> {
  const { stage, link } = resolution;
  const ref = orderRef(resolution.order);
  if (!ref) throw new ValidationError(`${resolution.order} is not an order's name, such as orders/1234`);
  if (link !== undefined && !isPlausibleResourceName(stage, link)) {
    throw new ValidationError(`${link} can't be the name of a ${STAGES[stage].creates.title}`);
  }

  const entryPath = auditPath(resolution.key ?? ports.random.uuid());
  const paths = [entryPath, attemptPath(stage, ref.id), relationPath(ref.id)] as const;
  const [entry, attempt, relation] = await ports.store.read(...paths);
  if (entry) return repeatedResult(entry, resolution);
  const linked = relationIn(relation)?.[stage];
  // The commit that saved a link deleted the attempt.
  if (!attempt) return linked === undefined ? noAttempt(resolution) : linkedAlready(resolution, linked);
  const rejected = rejectionOf(resolution, attempt, linked);
  if (rejected) return rejected;

  const decided = await decide(resolution, { ref, attempt, relation }, ports);
  return commitDecision(resolution, decided, auditWrite(entryPath, resolution, decided.to, ports), ports);
}

/** What a decision writes, and the state that it leads to. */
interface Decided {
  to: ResolvedState;
  writes: Write[];
}

function decide(resolution: Resolution, stored: Stored, ports: ResolvePorts): Promise<Decided> | Decided {
  if (resolution.link !== undefined) return decideLink(resolution, resolution.link, stored, ports);
  return resolution.dismiss ? decideDismissal(stored, ports) : decideRetry(resolution, stored, ports);
}

async function commitDecision(
  resolution: Resolution,
  { to, writes }: Decided,
  audit: ReturnType<typeof auditEntry>,
  { store }: ResolvePorts,
): Promise<ResolveResult> {
  try {
    const [version = ""] = await store.commit([audit, ...writes]);
    const entry = { path: audit.path, fields: audit.fields, version };
    return { outcome: "advanced", to, entry, isRepeat: false };
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    // The conflict may be our own retried write, or the same request sent concurrently.
    const [first] = await store.read(audit.path);
    if (!first) throw error;
    return repeatedResult(first, resolution);
  }
}

function rejected(code: RejectionCode, reason: string): ResolveResult {
  return { outcome: "blocked", code, reason };
}

function noAttempt({ order, stage }: Resolution): ResolveResult {
  return rejected("no attempt", `There is no ${stage} attempt of ${order}`);
}

function linkedAlready({ order }: Resolution, linked: string): ResolveResult {
  return rejected("linked already", `${order} is linked to ${linked} already`);
}

/** The action that a resolution requests. */
export function actionOf({ link, dismiss }: Pick<Resolution, "link" | "dismiss">): Action {
  if (link !== undefined) return "link";
  return dismiss ? "dismiss" : "retry";
}

function rejectionOf(
  resolution: Resolution,
  snapshot: Snapshot,
  linked: string | undefined,
): ResolveResult | undefined {
  const { order, stage } = resolution;
  const code = attemptIn(snapshot).reason?.code;
  const action = actionOf(resolution);
  if (linked !== undefined && action === "link" && code !== "LINK_NOT_FOUND") return linkedAlready(resolution, linked);
  const other = rejectionOfAttempt(resolution, snapshot);
  if (other || actionsFor(code).includes(action)) return other;
  if (code === "STRANDED") {
    const reason = `No request was sent for ${order}, and its status says that another program sent one: link what it created`;
    return rejected("must be linked", reason);
  }
  const possible = actionsFor(code).join(" or ");
  return rejected(
    "not possible",
    `The ${stage} attempt of ${order} is parked as ${code}: ${possible} is possible, ${action} is not`,
  );
}

function rejectionOfAttempt(resolution: Resolution, snapshot: Snapshot): ResolveResult | undefined {
  const { order, stage, version, claim } = resolution;
  const attempt = attemptIn(snapshot);
  const isOther = (version ?? snapshot.version) !== snapshot.version || (claim ?? attempt.id) !== attempt.id;
  if (isOther) {
    const reason = `The ${stage} attempt of ${order} has changed since you loaded it; it is ${attempt.state} now`;
    return rejected("changed", reason);
  }
  if (ATTEMPT_STATES[attempt.state].needsOperator) return undefined;
  return rejected("not waiting", `The ${stage} attempt of ${order} is ${attempt.state}`);
}

function updating(snapshot: Snapshot | undefined, fields: Fields): Write[] {
  return snapshot ? [{ kind: "update", path: snapshot.path, version: snapshot.version, fields }] : [];
}

/** The operator knows that nothing was created, or wants the order to continue as its reason code says. */
function decideRetry({ stage }: Resolution, { attempt, relation: snapshot }: Stored, { clock }: ResolvePorts): Decided {
  const { path, version } = attempt;
  const now = clock.now();
  const code = attemptIn(attempt).reason?.code;
  const relation = relationIn(snapshot);
  const removal: Write = { kind: "delete", path, version };

  if (code === "REPORT_REJECTED" || code === "REPORT_IGNORED") {
    const fields = relation ? troubleField({ ...relation.trouble, report: undefined }) : {};
    return { to: "RESUMED", writes: [removal, ...updating(snapshot, fields)] };
  }
  if (code === "ACTIVE_AFTER_CANCELLATION") {
    const isClosed = snapshot && relation?.state === "CANCELLED";
    return { to: "RESUMED", writes: [removal, ...((isClosed && planReopening(snapshot, now)?.writes) || [])] };
  }
  if (code === "ORDER_REPLACED") {
    // The history still has the links. Without a relation, the next poll starts the order as a new one.
    const { path = "", version = "" } = snapshot ?? {};
    return { to: "RESUMED", writes: [removal, ...(snapshot ? [{ kind: "delete", path, version } as const] : [])] };
  }
  // The next poll claims the attempt again.
  const retry = { state: "FAILED", tries: 0, nextTryAt: new Date(now), reason: null, dismissedFor: null };
  const claim: Write = { kind: "update", path, version, fields: retry };
  const linked = relation?.[stage];
  if (code !== "LINK_NOT_FOUND" || !relation?.state || !isOpen(relation.state) || linked === undefined)
    return { to: "FAILED", writes: [claim] };
  const fields = {
    ...discardedField(relation.discarded, stage, linked),
    ...troubleField({ ...relation.trouble, missingLink: undefined }),
    state: stateWithoutLink(stage),
  };
  return { to: "FAILED", writes: [claim, ...updating(snapshot, fields)] };
}

/** The state of a relation that lost this stage's link: that of the stage before, or of this one if it is the first. */
function stateWithoutLink(stage: CreatingStage): RelationState {
  const before = CREATING_STAGES[CREATING_STAGES.indexOf(stage) - 1] ?? stage;
  return STAGES[before].creates.leadsTo;
}

/** Closes the attempt. It is retained as long as its order may be active, since it prevents a create. */
async function decideDismissal({ ref, attempt, relation: snapshot }: Stored, ports: ResolvePorts): Promise<Decided> {
  const { path, version } = attempt;
  const fields = { state: "CLOSED", isDismissed: true, nextTryAt: null, leaseUntil: null };
  const writes: Write[] = [{ kind: "update", path, version, fields }];
  const relation = relationIn(snapshot);
  const code = attemptIn(attempt).reason?.code;

  if (code === "ORDER_NOT_FOUND" && relation?.state && isOpen(relation.state)) {
    const now = ports.clock.now();
    writes.push(...updating(snapshot, { ...stateFields(relation, "GONE", now), trouble: null }));
    writes.push(closingEntry(ref.name, "GONE", now, now));
  }
  if (code === "ORDER_REPLACED") {
    const placedAt = storableTime((await ports.food.getOrder(ref.name)).placedAt);
    if (placedAt) writes.push(...updating(snapshot, { placedAt }));
  }
  return { to: "CLOSED", writes };
}

/** Saves the link that the operator found, after the food service has confirmed that it exists. */
async function decideLink(
  { stage }: Resolution,
  link: string,
  { ref, attempt, relation }: Stored,
  ports: ResolvePorts,
): Promise<Decided> {
  const { store, food, clock } = ports;
  const entryPath = linkEntryPath(stage, link);
  const found = RESOURCES[stage].get(food, link);
  const [[entry], order] = await Promise.all([store.read(entryPath), food.getOrder(ref.name), found]);
  const owner = linkedOrder(entry);
  // A link that was lost and found again already has its history entry.
  const isOwn = owner === ref.name && relation?.fields[stage] === link;
  if (owner !== undefined && !isOwn) throw new AlreadyLinkedError(entryPath, `${link} is linked to ${owner} already`);
  const writes: Write[] = [
    linkWrite({ stage, ref, order }, relation, link, ports),
    { kind: "delete", path: attempt.path, version: attempt.version },
    ...(isOwn ? [] : [linkEntry(ref.name, stage, link, clock.now(), attemptIn(attempt).id)]),
  ];
  return { to: "LINKED", writes };
}

/** The stored names of the actions. */
const AUDIT_ACTIONS = { link: "link", retry: "try again", dismiss: "dismiss" } as const;

function auditWrite(path: string, resolution: Resolution, to: ResolvedState, { clock }: ResolvePorts) {
  const { order, stage, link, by, reason } = resolution;
  const request = requestFingerprint(resolution);
  const action = AUDIT_ACTIONS[actionOf(resolution)];
  const words = { by: storableText(by), reason: storableText(reason) };
  return auditEntry(path, { order, stage, action, to, name: link ?? null, ...words, request }, clock.now());
}

function repeatedResult(entry: Snapshot, resolution: Resolution): ResolveResult {
  if (entry.fields.request !== requestFingerprint(resolution)) {
    return rejected(
      "key reused",
      "This idempotency key was used for another decision; use a new key for each decision",
    );
  }
  // Entries of older builds don't have the result of the decision.
  const to = RESOLVED_STATES.find((state) => state === entry.fields.to) ?? (resolution.link ? "LINKED" : "FAILED");
  return { outcome: "advanced", to, entry, isRepeat: true };
}

function requestFingerprint({ order, stage, link, dismiss, reason, version, claim }: Resolution): string {
  const seen = { version: version ?? null, ...(claim !== undefined && { claim }) };
  return fingerprintOf({ order, stage, link: link ?? null, reason, ...seen, ...(dismiss && { dismiss: "yes" }) });
}
