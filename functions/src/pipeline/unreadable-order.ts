/** Handles an order that the food service lists but does not reply about. After several lookups, an operator is asked. */
import {
  type Attempt,
  attemptIn,
  attemptPath,
  claimFields,
  isDismissedFor,
  nextAction,
  uncertainFields,
} from "../attempts/attempt.js";
import { reopened } from "../attempts/park.js";
import type { ReasonCode } from "../attempts/reason-codes.js";
import { commitIfUnchanged } from "../commit-if-unchanged.js";
import { countLook } from "../domain/absence.js";
import { type CallError, isNotFound } from "../domain/errors.js";
import { type CreatingStage, LAST_CREATING_STAGE, STAGES, type Stage } from "../domain/order-lifecycle.js";
import { blocked, type Outcome, skipped } from "../domain/outcome.js";
import type { OrderRef } from "../domain/resource-names.js";
import { storableText } from "../domain/storable.js";
import type { Fields, Ports, Snapshot, WaitingOrder, Write } from "../ports.js";
import { relationIn, relationPath } from "../relations/relation.js";
import type { StageHandler } from "./run-stage.js";

const CODE = "ORDER_UNREADABLE" satisfies ReasonCode;

/** The same handler, which also counts the lookup if the food service does not know the order's name. */
export function countingUnreadable(stage: Stage, handler: StageHandler): StageHandler {
  return async (ref: WaitingOrder, ports: Ports) => {
    try {
      return await handler(ref, ports);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return countUnreadable(STAGES[stage].creates ? (stage as CreatingStage) : LAST_CREATING_STAGE, ref, error, ports);
    }
  };
}

/**
 * Counts the lookup in the order's attempt; after several lookups over MISSING_AFTER_MINUTES it is PARKED. The sweep closes it once the food
 * service answers.
 * @throws StoreError
 */
async function countUnreadable(stage: CreatingStage, ref: OrderRef, error: CallError, ports: Ports): Promise<Outcome> {
  const path = attemptPath(stage, ref.id);
  const [existing] = await ports.store.read(path);
  const attempt = attemptIn(existing);
  const message = storableText(`the food service lists the order but does not answer about it: ${error.message}`);
  if (attempt && isDismissedFor(attempt, CODE)) return skipped(message);
  if (existing && attempt?.state === "SENDING") return judgeClaim(existing, attempt, ref, message, ports);
  // Another attempt of this stage is in progress, or waits for an operator.
  if (attempt && attempt.state !== "FAILED" && attempt.state !== "CLOSED") return skipped(message);

  const now = ports.clock.now();
  const earlier = attempt?.state === "FAILED" ? attempt.unreadable : undefined;
  const { absence, isBelieved } = countLook(earlier, now, ports.settings.MISSING_AFTER_MINUTES * 60_000);
  if (!absence && !isBelieved) return skipped(message);

  const reason = { code: CODE, message };
  const parked = isBelieved ? { state: "PARKED", nextTryAt: null, reason } : {};
  const counted = { ...(absence && { unreadable: { ...absence } }), ...parked };
  const policy = ports.settings.CREATE_POLICY;
  const claim = { order: ref.name, stage, id: ports.random.uuid(), policy, tries: 0, claimedAt: now, leaseUntil: null };
  const first: Fields = { ...claimFields(claim), state: "FAILED", reason, ...counted };
  const fields = attempt?.state === "FAILED" ? counted : { ...reopened(attempt), ...first };
  const write: Write = existing
    ? { kind: "update", path, version: existing.version, fields }
    : { kind: "create", path, fields };
  // If it is not committed, another process counted the same lookup, or started an attempt.
  await commitIfUnchanged([write], ports);
  return blocked(isBelieved ? `${message}; an operator must resolve the ${stage} attempt` : message);
}

/**
 * Shows an operator a create whose process died: its stage, which reads the order first, can't judge it. With an honored key, the stage
 * sends it again once the food service answers about the order.
 * @throws StoreError
 */
async function judgeClaim(
  { path, version }: Snapshot,
  attempt: Attempt,
  ref: OrderRef,
  message: string,
  ports: Ports,
): Promise<Outcome> {
  const { action } = nextAction(attempt, ports.clock.now(), ports.settings.CREATE_POLICY);
  if (action === "wait") return skipped(message);
  // A claim that was committed late stays behind after its link was made. The sweep deletes it.
  const [relation] = await ports.store.read(relationPath(ref.id));
  if (relationIn(relation)?.[attempt.stage] !== undefined) return skipped(message);
  const reason = { code: "LEASE_EXPIRED", message: storableText(`the lease expired, and ${message}`) };
  const fields = uncertainFields(reason, action === "send" ? new Date(ports.clock.now()) : null);
  if (await commitIfUnchanged([{ kind: "update", path, version, fields }], ports))
    return blocked(`uncertain: ${reason.message}`);
  return skipped("claimed or settled by another process");
}
