/** The messages on the bus, and how they are read. */
import * as v from "valibot";
import { MalformedError } from "../errors.js";
import { ACTIVE_STATUSES } from "../life-cycle.js";
import { orderId } from "../names.js";
import type { OrderMessage, PollContinuation } from "../ports.js";

/** Where a poll that ran out of time goes on. */
export const CONTINUATION_TOPIC = "poll-continuations";

const status = v.picklist(ACTIVE_STATUSES);

const orderMessage = v.object({
  order: v.pipe(
    v.string(),
    v.check((name) => orderId(name) !== undefined, "must be an order's name"),
  ),
  status,
});

const continuation = v.object({
  holder: v.string(),
  step: v.pipe(v.number(), v.integer()),
  statuses: v.pipe(v.array(status), v.minLength(1)),
  pageToken: v.string(),
});

/** @throws MalformedError for anything that is not a message that names an order */
export function parseOrderMessage(payload: unknown): OrderMessage & { id: string } {
  const message = parse(orderMessage, payload);
  return { ...message, id: orderId(message.order) ?? "" };
}

/** @throws MalformedError */
export function parseContinuation(payload: unknown): PollContinuation {
  return parse(continuation, payload);
}

function parse<S extends v.GenericSchema>(schema: S, payload: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, payload);
  if (parsed.success) return parsed.output;
  const wrong = parsed.issues.map((issue) => `${v.getDotPath(issue) ?? "message"}: ${issue.message}`);
  throw new MalformedError(`not a message of ours: ${wrong.join("; ")}`);
}
