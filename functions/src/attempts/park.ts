/** Parks an order that can't continue without an operator and for which nothing was sent. */
import { commitIfUnchanged } from "../commit-if-unchanged.js";
import type { CreatingStage } from "../domain/order-lifecycle.js";
import { blocked, type Outcome, skipped } from "../domain/outcome.js";
import type { OrderRef } from "../domain/resource-names.js";
import { storableText } from "../domain/storable.js";
import type { Fields, Ports, Write } from "../ports.js";
import { type Attempt, attemptIn, attemptPath, claimFields, isDismissedFor, MISSING_LINK } from "./attempt.js";
import { isReasonCode, type ReasonCode } from "./reason-codes.js";

/** Why an order is parked: a code that says what an operator can do, and what was seen. */
export interface ParkReason {
  code: ReasonCode;
  message: string;
}

/**
 * Creates a parked attempt with the reason, for an operator to resolve. Leaves an attempt of the same order and stage unchanged if it may
 * have created something, waits for an operator or may be sent again, and one that an operator dismissed for the same reason. The outcome
 * is `blocked` only when it parks the order.
 * @throws StoreError, ValidationError for an attempt that can't be read
 */
export async function park(stage: CreatingStage, ref: OrderRef, reason: ParkReason, ports: Ports): Promise<Outcome> {
  const path = attemptPath(stage, ref.id);
  const [existing] = await ports.store.read(path);
  const attempt = attemptIn(existing);
  if (attempt && !mayReplace(attempt, reason))
    return skipped(`${reason.message}; the ${stage} attempt is ${attempt.state}`);

  const fields = {
    ...claimFields({
      order: ref.name,
      stage,
      id: ports.random.uuid(),
      policy: ports.settings.CREATE_POLICY,
      tries: 0,
      claimedAt: ports.clock.now(),
      leaseUntil: null,
    }),
    state: "PARKED",
    reason: { code: reason.code, message: storableText(reason.message) },
  };
  const write: Write = existing
    ? { kind: "update", path, version: existing.version, fields: { ...fields, ...reopened(attempt) } }
    : { kind: "create", path, fields };
  await commitIfUnchanged([write], ports);
  return blocked(`${reason.message}; an operator must resolve the ${stage} attempt`);
}

/** The fields that are cleared when a closed attempt is reopened, such as the time at which it would be deleted. */
export const NOT_CLOSED = { expireAt: null, isDismissed: null, missing: null, unreadable: null };

/** The fields with which a closed attempt is reopened for another reason. If an operator dismissed it, it still sends nothing. */
export function reopened(attempt: Attempt | undefined): Fields {
  return { ...NOT_CLOSED, ...(attempt?.isDismissed && { dismissedFor: attempt.reason?.code ?? "UNKNOWN" }) };
}

/** If an order is linked, or another program advanced it without a link, a create that failed is not tried again. */
const WITHOUT_NEXT_TRY: readonly ReasonCode[] = ["LINK_NOT_FOUND", MISSING_LINK];

function mayReplace(attempt: Attempt, reason: ParkReason): boolean {
  if (isDismissedFor(attempt, reason.code)) return false;
  // It only counts lookups, for one of our own reasons, or its next try does not come: nothing was created.
  if (attempt.state === "FAILED") return isReasonCode(attempt.reason?.code) || WITHOUT_NEXT_TRY.includes(reason.code);
  return attempt.state === "CLOSED";
}
