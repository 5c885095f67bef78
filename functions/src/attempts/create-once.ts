/**
 * Creates a kitchen order or a shipment at most once, against a service that can't say whether a create arrived.
 * The attempt document decides who may send. One atomic commit then saves the link, records it in the history and deletes
 * the attempt.
 */

import { commitIfUnchanged } from "../commit-if-unchanged.js";
import {
  AlreadyLinkedError,
  CallRejectedError,
  ConflictError,
  callError,
  isCallError,
  StoreError,
  toErrorInfo,
  ValidationError,
} from "../domain/errors.js";
import { STAGES } from "../domain/order-lifecycle.js";
import { advanced, blocked, type Outcome, skipped } from "../domain/outcome.js";
import { isPlausibleResourceName } from "../domain/resource-names.js";
import type { Fields, Ports, Slot, Snapshot, Write } from "../ports.js";
import { linkEntry, linkEntryPath, linkedOrder } from "../relations/history.js";
import { relationIn, relationPath } from "../relations/relation.js";
import { type Attempt, attemptIn, attemptPath, claimFields, nextAction, uncertainFields } from "./attempt.js";
import { backoffAfter } from "./backoff.js";
import { idempotencyKey } from "./idempotency-key.js";
import { hasRoomForLink, type LinkTarget, linkWrite } from "./link.js";
import { NOT_CLOSED, park } from "./park.js";
import { RESOURCES } from "./resources.js";

/** How many times a write that must not be lost is tried. */
const MAX_WRITE_TRIES = 5;

export interface CreateRequest extends LinkTarget {
  /** The relation as it was read, undefined if there is none. */
  snapshot: Snapshot | undefined;
}

/** A claim that this process holds. */
interface Claim {
  id: string;
  path: string;
  version: string;
  tries: number;
  /** In milliseconds since the epoch. */
  leaseUntil: number;
  /** Whether an earlier create of this order and stage may have been applied. */
  mayHaveBeenApplied: boolean;
  /** Whether no attempt existed: none was made yet, or one was completed after the relation was read. */
  isFirst: boolean;
}

/**
 * Claims, sends and links, or says why this process may not.
 * @throws CallError if the service can't be reached, StoreError if the outcome could not be saved
 */
export async function createOnce(request: CreateRequest, ports: Ports): Promise<Outcome> {
  if (!hasRoomForLink(request.snapshot)) {
    return park(
      request.stage,
      request.ref,
      { code: "RELATION_TOO_LARGE", message: "the relation is too large for a link" },
      ports,
    );
  }
  // Without a slot, don't claim: a waiting claim would use up its lease.
  const slot = await ports.flow.acquire("create");
  if (!slot) return skipped("the food service has as much to do as it sustains");
  try {
    return await createInSlot(request, slot, ports);
  } finally {
    slot.release();
  }
}

async function createInSlot(request: CreateRequest, slot: Slot, ports: Ports): Promise<Outcome> {
  // An unreachable service must not leave a claim behind.
  await ports.food.ready();
  const acquired = await acquireClaim(request, ports);
  if (acquired.kind === "not acquired") return acquired.outcome;

  const { claim } = acquired;
  if (claim.isFirst && (await releaseClaimIfLinked(request, claim, ports)))
    return skipped("already linked concurrently");

  let name: string;
  try {
    name = await sendCreate(request, claim, slot, ports);
  } catch (error) {
    return recordFailure(claim, error, ports);
  }
  return commitLink(request, claim, name, ports);
}

type Acquired = { kind: "acquired"; claim: Claim } | { kind: "not acquired"; outcome: Outcome };

async function acquireClaim(request: CreateRequest, ports: Ports): Promise<Acquired> {
  const notAcquired = (outcome: Outcome): Acquired => ({ kind: "not acquired", outcome });
  const path = attemptPath(request.stage, request.ref.id);

  const first = newClaim(request, path, { tries: 1, mayHaveBeenApplied: false, isFirst: true }, ports);
  const created = await commitClaim(first.claim, { kind: "create", path, fields: first.fields }, ports);
  if (created.kind === "claimed") return { kind: "acquired", claim: created.claim };
  if (created.kind === "settled") return notAcquired(skipped("the attempt is already settled"));

  const { attempt, version } = created;
  const next = nextAction(attempt, ports.clock.now(), ports.settings.CREATE_POLICY);
  if (next.action === "wait") return notAcquired(skipped(next.reason));
  // A claim that was committed late remains after its link was made. The sweep deletes it.
  if (await isLinked(request, ports)) return notAcquired(skipped("already linked concurrently"));
  if (next.action === "declare uncertain") {
    const fields = uncertainFields({ code: "LEASE_EXPIRED", message: next.reason }, null);
    const isDeclared = await commitIfUnchanged([{ kind: "update", path, version, fields }], ports);
    return notAcquired(isDeclared ? blocked(`uncertain: ${next.reason}`) : skipped("claimed by another process"));
  }

  const chances = { tries: attempt.tries + 1, mayHaveBeenApplied: next.reason === "same key", isFirst: false };
  const again = newClaim(request, path, chances, ports);
  const fields = { ...again.fields, ...NOT_CLOSED };
  const updated = await commitClaim(again.claim, { kind: "update", path, version, fields }, ports);
  if (updated.kind === "claimed") return { kind: "acquired", claim: updated.claim };
  return notAcquired(skipped("claimed by another process"));
}

function newClaim(
  { stage, ref }: CreateRequest,
  path: string,
  chances: Pick<Claim, "tries" | "mayHaveBeenApplied" | "isFirst">,
  { clock, random, settings }: Ports,
): { claim: Omit<Claim, "version">; fields: Fields } {
  const id = random.uuid();
  const claimedAt = clock.now();
  const leaseUntil = claimedAt + settings.CREATE_LEASE_SECONDS * 1000;
  const { tries } = chances;
  const policy = settings.CREATE_POLICY;
  return {
    claim: { id, path, leaseUntil, ...chances },
    fields: claimFields({ order: ref.name, stage, id, policy, tries, claimedAt, leaseUntil }),
  };
}

type CommittedClaim =
  | { kind: "claimed"; claim: Claim }
  | { kind: "exists"; attempt: Attempt; version: string }
  | { kind: "settled" };

/**
 * Commits a claim, or returns the attempt that it conflicts with.
 * The client may retry a commit that already succeeded, so a conflict can be our own write: the claim id identifies it.
 */
async function commitClaim(claim: Omit<Claim, "version">, write: Write, ports: Ports): Promise<CommittedClaim> {
  try {
    const [version = ""] = await ports.store.commit([write]);
    return { kind: "claimed", claim: { ...claim, version } };
  } catch (error) {
    const [snapshot] = await ports.store.read(claim.path);
    const found = snapshot && { attempt: attemptIn(snapshot), version: snapshot.version };
    if (found?.attempt.id === claim.id) return { kind: "claimed", claim: { ...claim, version: found.version } };
    if (!(error instanceof ConflictError)) throw error;
    return found ? { kind: "exists", ...found } : { kind: "settled" };
  }
}

/**
 * Deletes the claim if the link was saved after the relation was read: then an earlier attempt was completed, and
 * nothing may be sent. Returns whether it did.
 */
async function releaseClaimIfLinked(request: CreateRequest, { path, version }: Claim, ports: Ports): Promise<boolean> {
  const release = () => withWriteRetries(ports, () => commitIfUnchanged([{ kind: "delete", path, version }], ports));
  try {
    if (!(await withWriteRetries(ports, () => isLinked(request, ports)))) return false;
  } catch (error) {
    await release();
    throw error;
  }
  await release();
  return true;
}

async function isLinked({ stage, ref }: CreateRequest, { store }: Ports): Promise<boolean> {
  const [snapshot] = await store.read(relationPath(ref.id));
  return relationIn(snapshot)?.[stage] !== undefined;
}

/** Sends the create and returns the name of what was created. */
async function sendCreate(
  { stage, ref }: CreateRequest,
  claim: Claim,
  slot: Slot,
  { clock, food, settings }: Ports,
): Promise<string> {
  // Counts from now, not from the claim: a slow commit must not shorten it.
  const deadline = clock.now() + settings.CALL_DEADLINE_SECONDS * 1000;
  if (deadline > claim.leaseUntil) {
    throw callError("DEADLINE_EXCEEDED", `the ${stage} create was not sent: its lease would expire first`, false);
  }
  const options = { idempotencyKey: idempotencyKey(ref.name, stage), deadline };
  const { name } = await slot.run<{ name: string }>(`create ${stage}`, () => RESOURCES[stage].create(food, options));
  if (isPlausibleResourceName(stage, name)) return name;
  throw callError("BAD_REPLY", `the create was answered with the name ${JSON.stringify(name.slice(0, 100))}`, true);
}

/** Records what is known after a create that did not succeed. */
async function recordFailure(claim: Claim, error: unknown, ports: Ports): Promise<Outcome> {
  const wasNotApplied = isCallError(error) && (!error.sent || error instanceof CallRejectedError);
  if (claim.mayHaveBeenApplied || !wasNotApplied) return recordUncertain(claim, toErrorInfo(error), ports);

  // A request that was never sent does not count as a try.
  const tries = error.sent ? claim.tries : claim.tries - 1;
  const isParked = error.sent && tries >= ports.settings.CREATE_TRIES;
  const nextTryAt = isParked ? null : new Date(ports.clock.now() + backoffAfter(tries, ports.random));
  const reason = toErrorInfo(error);
  const state = isParked ? "PARKED" : "FAILED";
  await updateAttempt(claim, { state, tries, nextTryAt, leaseUntil: null, reason }, ports);
  const what = error.sent ? `${state.toLowerCase()} after try ${tries}` : "not sent";
  return blocked(`${what}: ${reason.code} ${reason.message}`);
}

type Reason = ReturnType<typeof toErrorInfo>;

/** Records that a create may have been applied. It may only be resent with the same key. */
async function recordUncertain(claim: Claim, reason: Reason, ports: Ports): Promise<Outcome> {
  const isKeyed = ports.settings.CREATE_POLICY === "idempotency-key";
  const nextTryAt = isKeyed ? new Date(ports.clock.now() + backoffAfter(claim.tries, ports.random)) : null;
  await updateAttempt(claim, uncertainFields(reason, nextTryAt), ports);
  return blocked(`uncertain: ${reason.code} ${reason.message}`);
}

/** Writes to the attempt of a claim, unless another process has claimed or settled it. */
async function updateAttempt(claim: Claim, fields: Fields, ports: Ports): Promise<void> {
  await withWriteRetries(ports, async () => {
    const [snapshot] = await ports.store.read(claim.path);
    if (!snapshot || !isStillOurs(attemptIn(snapshot), claim)) return;
    await ports.store.commit([{ kind: "update", path: claim.path, version: snapshot.version, fields }]);
  });
}

/** Whether the attempt is still the one of this claim, even if its lease ran out in between. */
function isStillOurs(attempt: Attempt | undefined, claim: Claim): boolean {
  return attempt?.id === claim.id && (attempt.state === "SENDING" || attempt.state === "UNCERTAIN");
}

/** Saves the link, records it in the history and deletes the attempt: all or nothing. */
async function commitLink(request: CreateRequest, claim: Claim, name: string, ports: Ports): Promise<Outcome> {
  const firstPlan: LinkPlan = { kind: "commit", snapshot: request.snapshot, version: claim.version, isRecorded: false };
  try {
    return await withWriteRetries(ports, async (isRetry) => {
      const plan = isRetry ? await planLink(request, claim, name, ports) : firstPlan;
      if (plan.kind === "done") return plan.outcome;
      await ports.store.commit([
        linkWrite(request, plan.snapshot, name, ports),
        { kind: "delete", path: claim.path, version: plan.version },
        ...(plan.isRecorded ? [] : [linkEntry(request.ref.name, request.stage, name, ports.clock.now(), claim.id)]),
      ]);
      return advanced(STAGES[request.stage].creates.leadsTo);
    });
  } catch (error) {
    if (error instanceof AlreadyLinkedError || error instanceof ValidationError) {
      const message = `created ${name}: ${toErrorInfo(error).message}`;
      return recordUncertain(claim, { code: "BAD_REPLY", message }, ports);
    }
    ports.log.error("Created, but failed to save the link", {
      ...orphanFields(request, name),
      reason: toErrorInfo(error),
    });
    throw error;
  }
}

type LinkPlan =
  | { kind: "commit"; snapshot: Snapshot | undefined; version: string; isRecorded: boolean }
  | { kind: "done"; outcome: Outcome };

/**
 * Decides what is left to do for a link, given what is stored now.
 * @throws AlreadyLinkedError if another order has the name, ValidationError if the relation has another link
 */
async function planLink(request: CreateRequest, claim: Claim, name: string, ports: Ports): Promise<LinkPlan> {
  const { stage, ref } = request;
  const entryPath = linkEntryPath(stage, name);
  const [snapshot, attemptSnapshot, entry] = await ports.store.read(relationPath(ref.id), claim.path, entryPath);
  const attempt = attemptIn(attemptSnapshot);
  const linked = relationIn(snapshot)?.[stage];
  if (linked === name && !attempt) return { kind: "done", outcome: advanced(STAGES[stage].creates.leadsTo) };
  if (!attemptSnapshot || !isStillOurs(attempt, claim)) {
    return { kind: "done", outcome: reportOrphan(request, name, ports) };
  }
  if (linked !== undefined && linked !== name) {
    reportOrphan(request, name, ports);
    throw new ValidationError(`the relation links ${linked}`);
  }
  const owner = linkedOrder(entry);
  // A commit writes the link and its entry or neither. An entry without its link is of an earlier order with this name.
  const isRecorded = owner === ref.name && linked === name;
  if (owner !== undefined && !isRecorded) {
    const where = owner === ref.name ? "was linked to an earlier order of this name" : `is linked to ${owner} already`;
    throw new AlreadyLinkedError(entryPath, `${name} ${where}`);
  }
  return { kind: "commit", snapshot, version: attemptSnapshot.version, isRecorded };
}

function reportOrphan(request: CreateRequest, name: string, ports: Ports): Outcome {
  ports.log.error("Created, but not linked", orphanFields(request, name));
  return blocked(`${name} was created, but another process settled the ${request.stage} attempt in the meantime`);
}

function orphanFields({ ref, stage }: CreateRequest, name: string) {
  return { component: stage, order: ref.name, name, outcome: "not_linked" };
}

/** Runs a store operation, and retries it a few times after a conflict or a failure. Retries get `isRetry`. */
async function withWriteRetries<T>(ports: Ports, operation: (isRetry: boolean) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await operation(tries > 1);
    } catch (error) {
      if (tries === MAX_WRITE_TRIES || !(error instanceof ConflictError || error instanceof StoreError)) throw error;
      if (error instanceof StoreError) await ports.clock.sleep(100 * 2 ** tries);
    }
  }
}
