/** Handles an order that the food service lists but does not reply about. After several lookups, an operator is asked. */
import { attemptIn, attemptPath, claimFields } from "../attempts/attempt.js";
import { NOT_CLOSED } from "../attempts/park.js";
import type { ReasonCode } from "../attempts/reason-codes.js";
import { countLook } from "../domain/absence.js";
import { type CallError, ConflictError, isNotFound } from "../domain/errors.js";
import { type CreatingStage, LAST_CREATING_STAGE, STAGES, type Stage } from "../domain/order-lifecycle.js";
import { blocked, type Outcome, skipped } from "../domain/outcome.js";
import type { OrderRef } from "../domain/resource-names.js";
import { storableText } from "../domain/storable.js";
import type { Fields, Ports, WaitingOrder, Write } from "../ports.js";
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
  if (attempt?.isDismissed && attempt.reason?.code === CODE) return skipped(message);
  // Another attempt of this stage is in progress, or waits for an operator.
  if (attempt && attempt.state !== "FAILED" && attempt.state !== "CLOSED") return skipped(message);

  const now = ports.clock.now();
  const earlier = attempt?.state === "FAILED" ? (attempt.unreadable ?? undefined) : undefined;
  const { absence, isBelieved } = countLook(earlier, now, ports.settings.MISSING_AFTER_MINUTES * 60_000);
  if (!absence && !isBelieved) return skipped(message);

  const reason = { code: CODE, message };
  const parked = isBelieved ? { state: "PARKED", nextTryAt: null, reason } : {};
  const counted = { ...(absence && { unreadable: { ...absence } }), ...parked };
  const policy = ports.settings.CREATE_POLICY;
  const claim = { order: ref.name, stage, id: ports.random.uuid(), policy, tries: 0, claimedAt: now, leaseUntil: 0 };
  const first: Fields = { ...claimFields(claim), state: "FAILED", leaseUntil: null, reason, ...counted };
  const fields = attempt?.state === "FAILED" ? counted : { ...(existing && NOT_CLOSED), ...first };
  const write: Write = existing
    ? { kind: "update", path, version: existing.version, fields }
    : { kind: "create", path, fields };
  try {
    await ports.store.commit([write]);
  } catch (problem) {
    // Another process counted the same lookup, or started an attempt.
    if (!(problem instanceof ConflictError)) throw problem;
  }
  return blocked(isBelieved ? `${message}; an operator must resolve the ${stage} attempt` : message);
}
