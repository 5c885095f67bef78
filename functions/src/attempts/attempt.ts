/**
 * The attempt: one document per order and creating stage that decides who may send a create. It is there as long as that is
 * not settled: the commit that keeps the link deletes it, so that what is in the collection is what is still to be done.
 *
 *     (none) ── claim ──► SENDING ── answer ──► (none), and the relation has the link
 *                            ├── refused for certain, or never sent ──► FAILED, again after a backoff, PARKED after the last
 *                            └── outcome unknown, or the lease ran out ──► UNCERTAIN, for an operator or with the same key
 *     CLOSED: the order ended before anything was created, or another program made its link
 */
import * as v from "valibot";
import { CREATING_STAGES, type CreatingStage } from "../domain/order-lifecycle.js";
import { parse } from "../parse.js";
import type { Fields, Snapshot } from "../ports.js";
import { absenceSchema } from "../relations/relation.js";
import type { ReasonCode } from "./reason-codes.js";

export const ATTEMPTS = "attempts";

const ATTEMPT_SCHEMA = 1;

/** Each state, whether something is still to come of it, and whether an operator has to bring that about. */
export const ATTEMPT_STATES = {
  SENDING: { open: true, needsOperator: false },
  FAILED: { open: true, needsOperator: false },
  PARKED: { open: true, needsOperator: true },
  UNCERTAIN: { open: true, needsOperator: true },
  CLOSED: { open: false, needsOperator: false },
} as const satisfies Record<string, { open: boolean; needsOperator: boolean }>;

/** The reason of an attempt whose order was advanced by another program, so that no stage will ever take it up. */
export const MISSING_LINK = "STRANDED" satisfies ReasonCode;

export type AttemptState = keyof typeof ATTEMPT_STATES;

const schema = v.object({
  schema: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(ATTEMPT_SCHEMA)),
  order: v.string(),
  stage: v.picklist(CREATING_STAGES),
  id: v.string(),
  state: v.picklist(Object.keys(ATTEMPT_STATES) as AttemptState[]),
  policy: v.picklist(["park", "idempotency-key"]),
  tries: v.pipe(v.number(), v.integer(), v.minValue(0)),
  /** When it was claimed last: what may have been created was created then. */
  claimedAt: v.optional(v.nullable(v.date())),
  /** SENDING: until when nobody else may take the claim over. */
  leaseUntil: v.optional(v.nullable(v.date())),
  /** FAILED, and UNCERTAIN under the policy idempotency-key: not before this. */
  nextTryAt: v.optional(v.nullable(v.date())),
  reason: v.optional(v.nullable(v.object({ code: v.string(), message: v.string() }))),
  /** The looks at which the food service did not find the order: see `domain/absence.ts`. */
  missing: v.optional(v.nullable(absenceSchema)),
  /** CLOSED: whether an operator dismissed it. Then it is never opened again for the same reason. */
  isDismissed: v.optional(v.nullable(v.boolean())),
  /** When a time-to-live policy may delete the document. */
  expireAt: v.optional(v.nullable(v.date())),
});

/** An attempt as it stands in its document. `id` is new with every claim: it tells our own write from somebody else's. */
export type Attempt = v.InferOutput<typeof schema>;

/** The path of the attempt of the order with this id in this stage. */
export function attemptPath(stage: CreatingStage, id: string): string {
  return `${ATTEMPTS}/${stage}:${id}`;
}

/**
 * The attempt in a snapshot, undefined where there is no document.
 * @throws ValidationError for wrong types, foreign states and newer schemas
 */
export function attemptIn(snapshot: Snapshot | undefined): Attempt | undefined {
  if (!snapshot) return undefined;
  return parse(schema, snapshot.fields, `${snapshot.path} is not an attempt that this build can read`);
}

/** What may be done with an attempt that is there already. */
export type NextAction =
  | { action: "send"; reason: "backoff over" | "same key" | "order is back" }
  | { action: "declare uncertain"; reason: string }
  | { action: "wait"; reason: string };

/** Whose turn it is; `now` in milliseconds since the epoch. */
export function nextAction(attempt: Attempt, now: number, policy: Attempt["policy"]): NextAction {
  // A create that was sent without the promise that the key is honoured must never be sent again, whatever the policy is now.
  const keyed = policy === "idempotency-key" && attempt.policy === "idempotency-key";
  switch (attempt.state) {
    case "SENDING":
      if (!attempt.leaseUntil || attempt.leaseUntil.getTime() > now)
        return { action: "wait", reason: "somebody is sending" };
      if (keyed) return { action: "send", reason: "same key" };
      return { action: "declare uncertain", reason: "the lease ran out before an answer was kept" };
    case "UNCERTAIN":
      if (keyed && attempt.nextTryAt && attempt.nextTryAt.getTime() <= now)
        return { action: "send", reason: "same key" };
      return { action: "wait", reason: keyed && attempt.nextTryAt ? "backing off" : "uncertain, an operator decides" };
    case "FAILED":
      if (attempt.nextTryAt && attempt.nextTryAt.getTime() > now) return { action: "wait", reason: "backing off" };
      return { action: "send", reason: "backoff over" };
    case "PARKED":
      return { action: "wait", reason: "parked, an operator decides" };
    case "CLOSED": {
      // Nothing was created when it was closed: an order that comes back goes on. What another program may have sent does not.
      const isOver = attempt.isDismissed || attempt.reason?.code === MISSING_LINK;
      return isOver ? { action: "wait", reason: "the attempt is closed" } : { action: "send", reason: "order is back" };
    }
  }
}

/** How long an attempt that is over stays readable, in milliseconds. */
const RETENTION_MS = 30 * 24 * 3_600_000;

/** When a time-to-live policy may delete an attempt that is over at this time. */
export function expiryOf(now: number): Date {
  return new Date(now + RETENTION_MS);
}

/** The fields of a claim. */
export function claimFields(
  claim: Pick<Attempt, "order" | "stage" | "id" | "policy" | "tries"> & { claimedAt: number; leaseUntil: number },
): Fields {
  return {
    schema: ATTEMPT_SCHEMA,
    ...claim,
    state: "SENDING",
    claimedAt: new Date(claim.claimedAt),
    leaseUntil: new Date(claim.leaseUntil),
    nextTryAt: null,
    reason: null,
  };
}
