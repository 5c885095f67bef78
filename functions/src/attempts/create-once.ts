/**
 * Creates a kitchen order or a shipment once, against a service that can't be asked whether a create arrived.
 * The attempt document decides who sends; one atomic commit then keeps the link, tells the history and deletes the attempt.
 */

import { CallError, ConflictError, DuplicateError, describe, MalformedError, StoreError } from "../domain/errors.js";
import { type CreatingStage, RELATION_STATES, STAGES } from "../domain/order-lifecycle.js";
import { moved, nothing, type Result, refused } from "../domain/outcome.js";
import { isNameOf, isUsableName } from "../domain/resource-names.js";
import type { CreateOptions, Fields, Order, Ports, Snapshot, Write } from "../ports.js";
import { LEADS_TO, linkEntry, linkEntryPath, ownerIn } from "../relations/history.js";
import { type Relation, relationIn, relationPath, stateFields } from "../relations/relation.js";
import { type Attempt, attemptIn, attemptPath, claimFields, STRANDED, turnOf } from "./attempt.js";
import { backoffAfter } from "./backoff.js";
import { idempotencyKey } from "./idempotency-key.js";

/** How often a write that must not be lost is tried before the process gives up. */
const WRITE_TRIES = 5;

export interface Work {
  stage: CreatingStage;
  /** The id of the order's documents. */
  id: string;
  order: Order;
  /** The relation as it was read, undefined where there is none. */
  snapshot: Snapshot | undefined;
  create(options: CreateOptions): Promise<{ name: string }>;
}

/** A claim that this process holds. */
interface Claim {
  id: string;
  path: string;
  version: string;
  tries: number;
  /** Until when the create may be sent, in milliseconds since the epoch. */
  deadline: number;
  /** Whether an earlier create of this order and stage may have been carried out. */
  doubt: boolean;
  /** Whether there was no attempt before: none was made yet, or one has come to its end since the relation was read. */
  isFirst: boolean;
}

/**
 * Claims, sends and links, or says why it is not this process's turn.
 * @throws CallError where the service can't be reached, StoreError where what happened could not be kept
 */
export async function createOnce(work: Work, ports: Ports): Promise<Result> {
  // An unreachable service must not leave a claim behind.
  await ports.food.ready();
  const claim = await takeClaim(work, ports);
  if ("outcome" in claim) return claim;
  if (claim.isFirst && (await wasLinked(work, claim, ports))) return nothing("somebody else made the link meanwhile");

  const key = idempotencyKey(work.order.name, work.stage);
  let name: string;
  try {
    name = (await work.create({ idempotencyKey: key, deadline: claim.deadline })).name;
  } catch (error) {
    return keepFailure(claim, error, ports);
  }
  if (!isNameOf(work.stage, name)) {
    const message = `the create was answered with ${JSON.stringify(name.slice(0, 100))} for a name`;
    return keepDoubt(claim, new CallError("BAD_REPLY", message, true), ports);
  }
  return keepLink(work, claim, name, ports);
}

async function takeClaim(work: Work, ports: Ports): Promise<Claim | Result> {
  const path = attemptPath(work.stage, work.id);
  const claim = (tries: number, doubt: boolean, isFirst: boolean) => {
    const id = ports.random.uuid();
    const now = ports.clock.now();
    const { CREATE_POLICY: policy, CREATE_LEASE_SECONDS: lease, CALL_DEADLINE_SECONDS: deadline } = ports.settings;
    const leaseUntil = now + lease * 1000;
    const fields = claimFields({
      order: work.order.name,
      stage: work.stage,
      id,
      policy,
      tries,
      claimedAt: now,
      leaseUntil,
    });
    return { claim: { id, path, tries, doubt, isFirst, deadline: now + deadline * 1000 }, fields };
  };

  const first = claim(1, false, true);
  const found = await commitClaim(first.claim, { kind: "create", path, fields: first.fields }, ports);
  if (!found) return nothing("somebody else settled it meanwhile");
  if ("held" in found) return found.held;

  const { attempt, version } = found;
  const turn = turnOf(attempt, ports.clock.now(), ports.settings.CREATE_POLICY);
  if (turn.may === "wait") return nothing(turn.because);
  // A claim that came late stands here after the link was made: the sweep, which looks closer, judges it.
  if (await isLinked(work, ports)) return nothing("somebody else made the link meanwhile");
  if (turn.may === "declare uncertain") {
    const fields = uncertainFields({ code: "LEASE_EXPIRED", message: turn.because }, null);
    return (await commitIfUnchanged({ kind: "update", path, version, fields }, ports))
      ? refused(`uncertain: ${turn.because}`)
      : nothing("somebody else is at it");
  }
  const again = claim(attempt.tries + 1, turn.because === "same key", false);
  const taken = await commitClaim(again.claim, { kind: "update", path, version, fields: again.fields }, ports);
  return taken && "held" in taken ? taken.held : nothing("somebody else is at it");
}

/**
 * Whether the link was made since the relation was read: where there is no attempt, it may be that one has come to its end.
 * Nothing was sent with the claim so far; unless it is to be used, it is given back.
 */
async function wasLinked(work: Work, { path, version }: Claim, ports: Ports): Promise<boolean> {
  const giveBack = () => untilKept(ports, () => commitIfUnchanged({ kind: "delete", path, version }, ports));
  try {
    if (!(await untilKept(ports, () => isLinked(work, ports)))) return false;
  } catch (error) {
    await giveBack();
    throw error;
  }
  await giveBack();
  return true;
}

async function isLinked({ stage, id }: Work, { store }: Ports): Promise<boolean> {
  const [snapshot] = await store.read(relationPath(id));
  return relationIn(snapshot)?.[stage] !== undefined;
}

/**
 * Commits a claim; resolves with it, with the attempt that stands in its way, or with nothing where that is settled by now.
 * A commit that was retried below us may meet its own earlier write: the attempt id tells.
 */
async function commitClaim(
  claim: Omit<Claim, "version">,
  write: Write,
  ports: Ports,
): Promise<{ held: Claim } | { attempt: Attempt; version: string } | undefined> {
  try {
    const [version = ""] = await ports.store.commit([write]);
    return { held: { ...claim, version } };
  } catch (error) {
    if (!(error instanceof ConflictError || error instanceof StoreError)) throw error;
    const [snapshot] = await ports.store.read(claim.path);
    const attempt = attemptIn(snapshot);
    if (snapshot && attempt?.id === claim.id) return { held: { ...claim, version: snapshot.version } };
    if (!(error instanceof ConflictError)) throw error;
    return snapshot && attempt && { attempt, version: snapshot.version };
  }
}

async function commitIfUnchanged(write: Write, ports: Ports): Promise<boolean> {
  try {
    await ports.store.commit([write]);
    return true;
  } catch (error) {
    if (error instanceof ConflictError) return false;
    throw error;
  }
}

/** Keeps what is known after a create that was not answered with success. */
async function keepFailure(claim: Claim, error: unknown, ports: Ports): Promise<Result> {
  if (claim.doubt || !(error instanceof CallError)) return keepDoubt(claim, error, ports);
  if (error.sent && !error.refused) return keepDoubt(claim, error, ports);

  // What was never sent was no try.
  const tries = error.sent ? claim.tries : claim.tries - 1;
  const parked = error.sent && tries >= ports.settings.CREATE_TRIES;
  const nextTryAt = parked ? null : new Date(ports.clock.now() + backoffAfter(tries, ports.random));
  const reason = describe(error);
  const state = parked ? "PARKED" : "FAILED";
  await keep(claim, { state, tries, nextTryAt, leaseUntil: null, reason }, ports);
  return refused(`${state.toLowerCase()} after try ${claim.tries}: ${reason.code} ${reason.message}`);
}

/** Keeps that a create may or may not have been carried out. Only the same key may be sent again. */
async function keepDoubt(claim: Claim, error: unknown, ports: Ports): Promise<Result> {
  const keyed = ports.settings.CREATE_POLICY === "idempotency-key";
  const nextTryAt = keyed ? new Date(ports.clock.now() + backoffAfter(claim.tries, ports.random)) : null;
  const reason = describe(error);
  await keep(claim, uncertainFields(reason, nextTryAt), ports);
  return refused(`uncertain: ${reason.code} ${reason.message}`);
}

function uncertainFields(reason: { code: string; message: string }, nextTryAt: Date | null): Fields {
  return { state: "UNCERTAIN", leaseUntil: null, nextTryAt, reason };
}

/** Whether the attempt is still the one of this claim, even where its lease ran out in between. */
function isStillOurs(attempt: Attempt | undefined, claim: Claim): boolean {
  return attempt?.id === claim.id && (attempt.state === "SENDING" || attempt.state === "UNCERTAIN");
}

/** Writes to the attempt of a claim, unless it has become somebody else's. */
async function keep(claim: Claim, fields: Fields, ports: Ports): Promise<void> {
  let version = claim.version;
  await untilKept(ports, async (again) => {
    if (again) {
      const [snapshot] = await ports.store.read(claim.path);
      if (!snapshot || !isStillOurs(attemptIn(snapshot), claim)) return;
      version = snapshot.version;
    }
    await ports.store.commit([{ kind: "update", path: claim.path, version, fields }]);
  });
}

/** Links what was created, tells the history and deletes the attempt, all or nothing. */
async function keepLink(work: Work, claim: Claim, name: string, ports: Ports): Promise<Result> {
  const path = relationPath(work.id);
  const entryPath = linkEntryPath(work.stage, name);
  let snapshot = work.snapshot;
  let version = claim.version;
  let isTold = false;
  try {
    return await untilKept(ports, async (again) => {
      if (again) {
        const [relationNow, attemptNow, entryNow] = await ports.store.read(path, claim.path, entryPath);
        const attempt = attemptIn(attemptNow);
        const linked = relationIn(relationNow)?.[work.stage];
        if (linked === name && !attempt) return moved(LEADS_TO[work.stage]);
        if (!attemptNow || !isStillOurs(attempt, claim)) return orphaned(work, name, ports);
        if (linked !== undefined && linked !== name) {
          orphaned(work, name, ports);
          const message = `${name} was created, but the relation links ${linked}`;
          return keepDoubt({ ...claim, version: attemptNow.version }, new MalformedError(message), ports);
        }
        const owner = ownerIn(entryNow);
        if (owner !== undefined && owner !== work.order.name) {
          throw new DuplicateError(entryPath, `${name} is linked to ${owner} already`);
        }
        snapshot = relationNow;
        version = attemptNow.version;
        isTold = owner !== undefined;
      }
      await ports.store.commit([
        linkWrite(work, snapshot, name, ports),
        { kind: "delete", path: claim.path, version },
        ...(isTold ? [] : [linkEntry(work.order.name, work.stage, name, ports.clock.now(), claim.id)]),
      ]);
      return moved(LEADS_TO[work.stage]);
    });
  } catch (error) {
    if (error instanceof DuplicateError || error instanceof MalformedError) {
      return keepDoubt(claim, new CallError("BAD_REPLY", `created ${name}: ${error.message}`, true), ports);
    }
    const lost = { order: work.order.name, stage: work.stage, name, outcome: "not linked", reason: describe(error) };
    ports.log.error("created, but the link could not be kept", lost);
    throw error;
  }
}

/** The write that adds a link to a relation as it was read. */
export function linkWrite(
  work: Pick<Work, "stage" | "id" | "order">,
  snapshot: Snapshot | undefined,
  name: string,
  ports: Pick<Ports, "clock">,
): Write {
  const relation: Relation | undefined = relationIn(snapshot);
  // A relation that was closed in the meantime stays closed: the link says what is under way all the same.
  const closed = relation?.state !== undefined && !RELATION_STATES[relation.state].open;
  const fields: Fields = {
    [work.stage]: name,
    // What could not be kept must not stand in the way of the link.
    ...(isUsableName(work.order.customerId) && { customerId: work.order.customerId }),
    ...(work.order.placedAt && { placedAt: work.order.placedAt }),
    ...(closed ? {} : stateFields(relation, LEADS_TO[work.stage], ports.clock.now())),
  };
  const path = relationPath(work.id);
  return snapshot ? { kind: "update", path, version: snapshot.version, fields } : { kind: "create", path, fields };
}

function orphaned(work: Work, name: string, ports: Ports): Result {
  const reason = `${name} was created, but somebody else decided on the ${work.stage} of this order meanwhile`;
  ports.log.error("created, but not linked", {
    order: work.order.name,
    stage: work.stage,
    name,
    outcome: "not linked",
  });
  return refused(reason);
}

/** Runs a write, or a read, until it succeeds: conflicts and an absent store are met by reading again, a few times. */
async function untilKept<T>(ports: Ports, write: (again: boolean) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await write(tries > 1);
    } catch (error) {
      if (tries === WRITE_TRIES || !(error instanceof ConflictError || error instanceof StoreError)) throw error;
      if (error instanceof StoreError) await ports.clock.sleep(100 * 2 ** tries);
    }
  }
}

/**
 * Leaves an order to an operator where its stage can't go on and nothing was sent: a parked attempt says why.
 * An attempt that is there already is left as it is.
 */
export async function park(
  stage: CreatingStage,
  id: string,
  order: string,
  because: string,
  ports: Ports,
): Promise<Result> {
  const path = attemptPath(stage, id);
  const [there] = await ports.store.read(path);
  if (!there) {
    const claim = { order, stage, id: ports.random.uuid(), policy: ports.settings.CREATE_POLICY, tries: 0 };
    const now = ports.clock.now();
    const fields = { ...claimFields({ ...claim, claimedAt: now, leaseUntil: 0 }), state: "PARKED", leaseUntil: null };
    const reason = { code: STRANDED, message: because };
    await commitIfUnchanged({ kind: "create", path, fields: { ...fields, reason } }, ports);
  }
  return refused(`${because}; waits for an operator in ${STAGES[stage].topic}`);
}
