/** The stored events of the simulated food service: all changes that time alone does not cause. */
import * as v from "valibot";
import { ValidationError } from "../../../functions/src/domain/errors.js";
import { ORDER_STATUSES, type OrderStatus } from "../../../functions/src/domain/order-lifecycle.js";

const moment = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(8_640_000_000_000_000));
const name = (prefix: string) => v.pipe(v.string(), v.startsWith(prefix));
const key = v.nullable(v.string());
const statuses = (Object.keys(ORDER_STATUSES) as OrderStatus[]).filter((status) => status !== "UNKNOWN");

const schema = v.variant("kind", [
  v.strictObject({
    kind: v.literal("order"),
    name: name("orders/"),
    at: moment,
    customerId: v.string(),
    /** When the customer will cancel. */
    cancelAt: v.nullable(moment),
  }),
  v.strictObject({
    kind: v.literal("kitchenOrder"),
    name: name("kitchenorders/"),
    at: moment,
    key,
    preparationAt: moment,
    packagedAt: moment,
  }),
  v.strictObject({
    kind: v.literal("shipment"),
    name: name("shipments/"),
    at: moment,
    key,
    collectedAt: moment,
    endedAt: moment,
    outcome: v.picklist(["DELIVERED", "REJECTED"]),
  }),
  v.strictObject({
    kind: v.literal("update"),
    name: name("orders/"),
    at: moment,
    status: v.picklist(statuses),
    by: v.picklist(["customer", "orchestrator"]),
  }),
]);

/** Plain JSON; all times are in milliseconds since the epoch. */
export type FoodServiceEvent = v.InferOutput<typeof schema>;

/** The event of one kind. */
export type EventOf<K extends FoodServiceEvent["kind"]> = Extract<FoodServiceEvent, { kind: K }>;

/**
 * Parses an event.
 * @throws ValidationError for anything that the model did not write
 */
export function parseEvent(given: unknown): FoodServiceEvent {
  const parsed = v.safeParse(schema, given);
  if (parsed.success) return parsed.output;
  const wrong = parsed.issues.map((issue) => `${v.getDotPath(issue) ?? "event"}: ${issue.message}`);
  throw new ValidationError(`no event of the food service: ${wrong.join("; ")}`);
}
