/** The messages on the bus, and how they are read. */
import * as v from "valibot";
import { ACTIVE_STATUSES } from "../domain/order-lifecycle.js";
import { orderId } from "../domain/resource-names.js";
import { parse } from "../parse.js";
import type { OrderMessage, PollContinuation } from "../ports.js";

/** Where a poll that ran out of time goes on. */
export const CONTINUATION_TOPIC = "poll-continuations";

const NOT_OURS = "not a message of ours";

const status = v.picklist(ACTIVE_STATUSES);

const orderMessage = v.object({
  order: v.pipe(
    v.string(),
    v.check((name) => orderId(name) !== undefined, "must be an order's name"),
  ),
  status,
});

const continuation = v.object({
  holder: v.pipe(v.string(), v.nonEmpty()),
  step: v.pipe(v.number(), v.integer()),
  statuses: v.pipe(v.array(status), v.minLength(1)),
  pageToken: v.string(),
});

/** @throws MalformedError for anything that is not a message that names an order */
export function parseOrderMessage(payload: unknown): OrderMessage & { id: string } {
  const message = parse(orderMessage, payload, NOT_OURS);
  return { ...message, id: orderId(message.order) ?? "" };
}

/** @throws MalformedError */
export function parseContinuation(payload: unknown): PollContinuation {
  return parse(continuation, payload, NOT_OURS);
}
