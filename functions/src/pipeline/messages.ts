/** The messages on the bus, and their parsers. */
import * as v from "valibot";
import { ACTIVE_STATUSES, type Stage } from "../domain/order-lifecycle.js";
import { orderRef } from "../domain/resource-names.js";
import { parse } from "../parse.js";
import { progressSchema } from "../poll-health.js";
import type { OrderMessage, PollContinuation, WaitingOrder } from "../ports.js";

/** The topic with which a poll that ran out of time continues. */
export const CONTINUATION_TOPIC = "poll-continuations";

/**
 * The maximum of orders in a message, for the stages whose orders mostly wait: an idle tick then costs little more than its call. A new
 * order has its own message, since its create is due.
 */
export const ORDERS_PER_MESSAGE: Record<Stage, number> = { kitchen: 1, shipment: 25, completion: 25 };

const NOT_OURS = "not a valid message";

const status = v.picklist(ACTIVE_STATUSES);
const count = v.pipe(v.number(), v.integer(), v.minValue(0));

const orderMessage = v.object({
  order: v.pipe(
    v.string(),
    v.transform(orderRef),
    v.object({ name: v.string(), id: v.string() }, "must be an order's name, such as orders/7f3c"),
  ),
  status,
  placedAt: v.fallback(v.optional(v.number()), undefined),
});

const pack = v.object({ orders: v.pipe(v.array(v.unknown()), v.minLength(1), v.maxLength(1_000)) });

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

/** The payloads of the messages in which these orders travel. */
export function packOrders(stage: Stage, messages: OrderMessage[]): object[] {
  const size = ORDERS_PER_MESSAGE[stage];
  const payloads: object[] = [];
  for (let from = 0; from < messages.length; from += size) {
    const orders = messages.slice(from, from + size);
    const [only] = orders;
    // A single order keeps the original format, which older builds understand.
    payloads.push(only && orders.length === 1 ? only : { orders });
  }
  return payloads;
}

/** The orders in a message's payload, not yet parsed: a list, or the payload itself as the only one. */
export function unpackOrders(payload: unknown): unknown[] {
  const packed = v.safeParse(pack, payload);
  return packed.success ? packed.output.orders : [payload];
}

/** @throws ValidationError */
export function parseContinuation(payload: unknown): PollContinuation {
  return parse(continuation, payload, NOT_OURS);
}
