/**
 * The attempt: one document per order and creating stage that decides who may send a create. The commit that saves the link
 * deletes it, so the collection holds only open attempts.
 *
 *     (none) ── claim ──► SENDING ── answer ──► (none), and the relation has the link
 *                            ├── rejected, or never sent ──► FAILED, retried after a backoff, PARKED after the last try
 *                            └── outcome unknown, or lease expired ──► UNCERTAIN, for an operator or a resend with the same key
 *     CLOSED: the order ended before anything was created, or another program made its link
 */
import * as v from "valibot";
import { CREATING_STAGES, type CreatingStage } from "../domain/order-lifecycle.js";
import { parse } from "../parse.js";
import type { Fields, Snapshot } from "../ports.js";
import { absenceSchema } from "../relations/relation.js";
import { ATTEMPT_STATES, type AttemptState } from "./attempt-states.js";
import type { ReasonCode } from "./reason-codes.js";

export const ATTEMPTS = "attempts";

const ATTEMPT_SCHEMA = 1;

export { ATTEMPT_STATES, type AttemptState };

/** The reason of an attempt whose order another program advanced without a link. The stored code is older than its name. */
export const MISSING_LINK = "STRANDED" satisfies ReasonCode;

const schema = v.object({
  schema: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(ATTEMPT_SCHEMA)),
  order: v.string(),
  stage: v.picklist(CREATING_STAGES),
  id: v.string(),
  state: v.picklist(Object.keys(ATTEMPT_STATES) as AttemptState[]),
  policy: v.picklist(["park", "idempotency-key"]),
  tries: v.pipe(v.number(), v.integer(), v.minValue(0)),
  /** The time of the latest claim: anything that was created was created then. */
  claimedAt: v.optional(v.nullable(v.date())),
  /** SENDING: no other process may take the claim over before this time. */
  leaseUntil: v.optional(v.nullable(v.date())),
  /** FAILED, and UNCERTAIN under the policy idempotency-key: the earliest time of the next try. */
  nextTryAt: v.optional(v.nullable(v.date())),
  reason: v.optional(v.nullable(v.object({ code: v.string(), message: v.string() }))),
  /** The lookups at which the food service did not find the order: see `domain/absence.ts`. */
  missing: v.optional(v.nullable(absenceSchema)),
  /** The lookups at which the food service listed the order but did not reply about it. */
  unreadable: v.optional(v.nullable(absenceSchema)),
  /** CLOSED: whether an operator dismissed it. Then it is never opened again for the same reason. */
  isDismissed: v.optional(v.nullable(v.boolean())),
  /**
   * The reason code for which an operator dismissed it, if it was opened again for another reason. Then nothing is sent until an operator
   * decides to retry, and the same reason does not open it again.
   */
  dismissedFor: v.optional(v.nullable(v.string())),
  /** When a time-to-live policy may delete the document. */
  expireAt: v.optional(v.nullable(v.date())),
});

/** A stored attempt. `id` is new with every claim, and distinguishes our own write from another process's. */
export type Attempt = v.InferOutput<typeof schema>;

/** The path of the attempt of the order with this id in this stage. */
export function attemptPath(stage: CreatingStage, id: string): string {
  return `${ATTEMPTS}/${stage}:${id}`;
}

/**
 * The attempt in a snapshot, or undefined if there is no document.
 * @throws ValidationError for wrong types, unknown states and newer schemas
 */
export function attemptIn(snapshot: Snapshot): Attempt;
export function attemptIn(snapshot: Snapshot | undefined): Attempt | undefined;
export function attemptIn(snapshot: Snapshot | undefined): Attempt | undefined {
  if (!snapshot) return undefined;
  return parse(schema, snapshot.fields, `${snapshot.path} is not an attempt that this build can read`);
}

/** Whether an operator dismissed an attempt for this reason. */
export function isDismissedFor({ isDismissed, reason, dismissedFor }: Attempt, code: ReasonCode): boolean {
  return dismissedFor === code || (isDismissed === true && reason?.code === code);
}

/** What a process may do with an existing attempt. */
export type NextAction =
  | { action: "send"; reason: "backoff over" | "same key" | "order is back" }
  | { action: "declare uncertain"; reason: string }
  | { action: "wait"; reason: string };

/** What this process may do with an existing attempt now. `now` in milliseconds since the epoch. */
export function nextAction(attempt: Attempt, now: number, policy: Attempt["policy"]): NextAction {
  // A create sent without an honored key must never be sent again, whatever the policy is now.
  const keyed = policy === "idempotency-key" && attempt.policy === "idempotency-key";
  switch (attempt.state) {
    case "SENDING":
      if (!attempt.leaseUntil || attempt.leaseUntil.getTime() > now)
        return { action: "wait", reason: "another process is sending" };
      if (keyed) return { action: "send", reason: "same key" };
      return { action: "declare uncertain", reason: "the lease expired before an answer was recorded" };
    case "UNCERTAIN":
      if (keyed && attempt.nextTryAt && attempt.nextTryAt.getTime() <= now)
        return { action: "send", reason: "same key" };
      return { action: "wait", reason: keyed && attempt.nextTryAt ? "backing off" : "uncertain, an operator decides" };
    case "FAILED":
      if (attempt.dismissedFor) return { action: "wait", reason: "an operator dismissed the attempt" };
      if (attempt.nextTryAt && attempt.nextTryAt.getTime() > now) return { action: "wait", reason: "backing off" };
      return { action: "send", reason: "backoff over" };
    case "PARKED":
      return { action: "wait", reason: "parked, an operator decides" };
    case "CLOSED": {
      // Nothing had been created when it was closed, so an order that reappears continues. Not if another program may have sent a create.
      const isOver = attempt.isDismissed || attempt.dismissedFor || attempt.reason?.code === MISSING_LINK;
      return isOver ? { action: "wait", reason: "the attempt is closed" } : { action: "send", reason: "order is back" };
    }
  }
}

/** How long a closed attempt stays readable. */
const RETENTION_MS = 30 * 24 * 3_600_000;

/** When a time-to-live policy may delete an attempt that is closed now. `now` in milliseconds since the epoch. */
export function expiryOf(now: number): Date {
  return new Date(now + RETENTION_MS);
}

/** The fields of a claim; it has no lease if nothing is sent. */
export function claimFields(
  claim: Pick<Attempt, "order" | "stage" | "id" | "policy" | "tries"> & {
    claimedAt: number;
    leaseUntil: number | null;
  },
): Fields {
  return {
    schema: ATTEMPT_SCHEMA,
    ...claim,
    state: "SENDING",
    claimedAt: new Date(claim.claimedAt),
    leaseUntil: claim.leaseUntil === null ? null : new Date(claim.leaseUntil),
    nextTryAt: null,
    reason: null,
  };
}

/**
 * The fields that say that a create may have been sent, and why that is unknown.
 * @param nextTryAt when the same key is sent again; null if an operator decides
 */
export function uncertainFields(reason: { code: string; message: string }, nextTryAt: Date | null): Fields {
  return { state: "UNCERTAIN", leaseUntil: null, nextTryAt, reason };
}
