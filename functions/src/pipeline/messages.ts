/** The messages on the bus, and how they are read. */
import * as v from "valibot";
import { ACTIVE_STATUSES } from "../domain/order-lifecycle.js";
import { orderRef } from "../domain/resource-names.js";
import { parse } from "../parse.js";
import { progressSchema } from "../poll-health.js";
import type { PollContinuation, WaitingOrder } from "../ports.js";

/** Where a poll that ran out of time goes on. */
export const CONTINUATION_TOPIC = "poll-continuations";

const NOT_OURS = "not a message of ours";

const status = v.picklist(ACTIVE_STATUSES);
const count = v.pipe(v.number(), v.integer(), v.minValue(0));

const orderMessage = v.object({
  order: v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const ref = orderRef(dataset.value);
      if (ref) return ref;
      addIssue({ message: "must be an order's name, such as orders/7f3c" });
      return NEVER;
    }),
  ),
  status,
  placedAt: v.fallback(v.optional(v.number()), undefined),
});

const continuation = v.object({
  holder: v.pipe(v.string(), v.nonEmpty()),
  step: v.pipe(v.number(), v.integer()),
  statuses: v.pipe(v.array(status), v.minLength(1)),
  pageToken: v.string(),
  positions: v.optional(
    v.pipe(v.array(v.object({ status, pageToken: v.string(), pageSize: count, pages: count })), v.minLength(1)),
  ),
  startedAt: v.optional(v.number()),
  progress: v.fallback(v.optional(progressSchema), undefined),
});

/**
 * The order that a message names.
 * @throws ValidationError
 */
export function parseOrderMessage(payload: unknown): WaitingOrder {
  const { order, placedAt } = parse(orderMessage, payload, NOT_OURS);
  return placedAt === undefined ? order : { ...order, placedAt };
}

/** @throws ValidationError */
export function parseContinuation(payload: unknown): PollContinuation {
  return parse(continuation, payload, NOT_OURS);
}
