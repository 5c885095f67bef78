/** A stored attempt for tests: one that needs an operator, or is in another state. */
import { type AttemptState, claimFields } from "../attempts/attempt.js";
import type { CreatingStage } from "../domain/order-lifecycle.js";
import type { Fields } from "../ports.js";

interface Left {
  stage?: CreatingStage;
  /** The claim's id. */
  id?: string;
  tries?: number;
  /** In milliseconds since the epoch. */
  claimedAt?: number;
  reason?: { code: string; message: string };
}

/** The fields of the attempt's document. */
export function attemptLeftIn(
  state: AttemptState,
  order: string,
  { stage = "kitchen", id = "a", tries = 1, claimedAt = 0, reason }: Left = {},
): Fields {
  const claim = { order, stage, id, policy: "park", tries, claimedAt, leaseUntil: 0 } as const;
  return { ...claimFields(claim), state, leaseUntil: null, ...(reason && { reason }) };
}
