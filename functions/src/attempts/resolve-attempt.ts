/** An operator resolves an attempt that needs one: links what they found, or retries the create. */
import { AlreadyLinkedError, ConflictError, ValidationError } from "../domain/errors.js";
import type { CreatingStage } from "../domain/order-lifecycle.js";
import { isPlausibleResourceName, type OrderRef, orderRef } from "../domain/resource-names.js";
import { storableText } from "../domain/storable.js";
import type { Ports, Snapshot, Write } from "../ports.js";
import { linkEntry, linkEntryPath, linkedOrder } from "../relations/history.js";
import { relationIn, relationPath } from "../relations/relation.js";
import { ATTEMPT_STATES, attemptIn, attemptPath, MISSING_LINK } from "./attempt.js";
import { auditEntry, auditPath, fingerprintOf } from "./audit.js";
import { linkWrite } from "./link.js";

export interface Resolution {
  /** The order's name. */
  order: string;
  stage: CreatingStage;
  /** The name of the kitchen order or shipment that the operator found. Without it, the create is retried. */
  link?: string;
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
  | "linked already"
  | "key reused"
  | "changed";

/** What a decision brings about: the link, or a retry. */
type ResolvedState = "LINKED" | "FAILED";

type ResolveResult =
  | { outcome: "advanced"; to: ResolvedState; entry: Snapshot; isRepeat: boolean }
  | { outcome: "blocked"; code: RejectionCode; reason: string };

type ResolvePorts = Pick<Ports, "store" | "food" | "clock" | "random">;

/** What is stored when a decision arrives. */
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
  if (!ref) throw new ValidationError(`${resolution.order} is not an order's name, which is like orders/1234`);
  if (link !== undefined && !isPlausibleResourceName(stage, link)) {
    throw new ValidationError(`${link} can't be the name of what the ${stage} stage creates`);
  }

  const entryPath = auditPath(resolution.key ?? ports.random.uuid());
  const paths = [entryPath, attemptPath(stage, ref.id), relationPath(ref.id)] as const;
  const [entry, attempt, relation] = await ports.store.read(...paths);
  if (entry) return repeatedResult(entry, resolution);
  const rejection = link === undefined ? rejectionOfRetry : rejectionOfLink;
  const rejected = rejection(resolution, attempt, relation);
  if (rejected || !attempt) return rejected ?? noAttempt(resolution);

  const stored = { ref, attempt, relation };
  const writes = link === undefined ? [retryWrite(attempt, ports)] : await linkWrites(resolution, link, stored, ports);
  return commitDecision(resolution, writes, auditWrite(entryPath, resolution, ports), ports);
}

async function commitDecision(
  resolution: Resolution,
  writes: Write[],
  audit: ReturnType<typeof auditEntry>,
  { store }: ResolvePorts,
): Promise<ResolveResult> {
  try {
    const versions = await store.commit([...writes, audit]);
    const entry = { path: audit.path, fields: audit.fields, version: versions.at(-1) ?? "" };
    return { outcome: "advanced", to: resolvedStateOf(resolution), entry, isRepeat: false };
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    // Our own write that the client retried, or the same request at the same moment, may have been first.
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

type Rejection = (
  resolution: Resolution,
  attempt: Snapshot | undefined,
  relation: Snapshot | undefined,
) => ResolveResult | undefined;

const rejectionOfLink: Rejection = (resolution, attempt, relation) => {
  const linked = relationIn(relation)?.[resolution.stage];
  if (linked !== undefined) return rejected("linked already", `${resolution.order} is linked to ${linked} already`);
  return rejectionOfAttempt(resolution, attempt);
};

const rejectionOfRetry: Rejection = (resolution, snapshot, relation) => {
  const attempt = attemptIn(snapshot);
  const { order, stage } = resolution;
  const linked = relationIn(relation)?.[stage];
  // The commit that saved the link deleted the attempt.
  if (linked !== undefined && !attempt) return rejected("linked already", `${order} is linked to ${linked} already`);
  const other = rejectionOfAttempt(resolution, snapshot);
  if (other || attempt?.reason?.code !== MISSING_LINK) return other;
  const reason = `No request was sent for ${order}, and its status says that another program sent one: link what it created`;
  return rejected("must be linked", reason);
};

function rejectionOfAttempt(resolution: Resolution, snapshot: Snapshot | undefined): ResolveResult | undefined {
  const { order, stage, version, claim } = resolution;
  const attempt = attemptIn(snapshot);
  if (!snapshot || !attempt) return noAttempt(resolution);
  const isOther = (version ?? snapshot.version) !== snapshot.version || (claim ?? attempt.id) !== attempt.id;
  if (isOther) {
    const reason = `The ${stage} attempt of ${order} has changed since you loaded it; it is ${attempt.state} now`;
    return rejected("changed", reason);
  }
  if (ATTEMPT_STATES[attempt.state].needsOperator) return undefined;
  return rejected("not waiting", `The ${stage} attempt of ${order} is ${attempt.state}`);
}

/** The operator knows that nothing was created: the next poll claims the attempt again. */
function retryWrite({ path, version }: Snapshot, { clock }: ResolvePorts): Write {
  const fields = { state: "FAILED", tries: 0, nextTryAt: new Date(clock.now()), reason: null };
  return { kind: "update", path, version, fields };
}

/** Saves the link that the operator found, after the food service has confirmed that it exists. */
async function linkWrites(
  { stage }: Resolution,
  link: string,
  { ref, attempt, relation }: Stored,
  ports: ResolvePorts,
): Promise<Write[]> {
  const { store, food, clock } = ports;
  const entryPath = linkEntryPath(stage, link);
  const found = stage === "kitchen" ? food.getKitchenOrder(link) : food.getShipment(link);
  const [[entry], order] = await Promise.all([store.read(entryPath), food.getOrder(ref.name), found]);
  const owner = linkedOrder(entry);
  if (owner !== undefined) throw new AlreadyLinkedError(entryPath, `${link} is linked to ${owner} already`);
  return [
    linkWrite({ stage, ref, order }, relation, link, ports),
    { kind: "delete", path: attempt.path, version: attempt.version },
    linkEntry(ref.name, stage, link, clock.now(), attemptIn(attempt)?.id),
  ];
}

function auditWrite(path: string, resolution: Resolution, { clock }: ResolvePorts) {
  const { order, stage, link, by, reason } = resolution;
  const request = requestFingerprint(resolution);
  // The stored word for a retry is "try again".
  const action = link === undefined ? "try again" : "link";
  const words = { by: storableText(by), reason: storableText(reason) };
  return auditEntry(path, { order, stage, action, name: link ?? null, ...words, request }, clock.now());
}

function repeatedResult(entry: Snapshot, resolution: Resolution): ResolveResult {
  if (entry.fields.request !== requestFingerprint(resolution)) {
    return rejected(
      "key reused",
      "This idempotency key was used for another decision; send each with a key of its own",
    );
  }
  return { outcome: "advanced", to: resolvedStateOf(resolution), entry, isRepeat: true };
}

function resolvedStateOf({ link }: Resolution): ResolvedState {
  return link === undefined ? "FAILED" : "LINKED";
}

function requestFingerprint({ order, stage, link, reason, version, claim }: Resolution): string {
  const seen = { version: version ?? null, ...(claim !== undefined && { claim }) };
  return fingerprintOf({ order, stage, link: link ?? null, reason, ...seen });
}
