/**
 * The schemas of the API's requests and responses. They parse the requests, and the OpenAPI document and the console's types are
 * derived from them.
 */
import * as v from "valibot";
import { ATTEMPT_STATES, type AttemptState } from "../attempts/attempt.js";
import { RESOLVED_STATES } from "../attempts/resolve-attempt.js";
import {
  ACTIVE_STATUSES,
  CREATING_STAGES,
  KITCHEN_STATUSES,
  ORDER_STATUSES,
  RELATION_STATES,
  type RelationState,
  SHIPMENT_STATUSES,
  STAGES,
} from "../domain/order-lifecycle.js";
import { recordOf } from "../domain/record-of.js";
import { isSafeText } from "../domain/resource-names.js";

const keysOf = <T extends object>(table: T) => Object.keys(table) as (keyof T & string)[];

export const STATES = keysOf(RELATION_STATES) satisfies RelationState[];
export const ENDED_STATES = STATES.filter((state) => !RELATION_STATES[state].open);

const MAX_PAGE_SIZE = 300;

/** The maximum of attempts in one request. */
const MAX_DECISIONS = 50;

const time = v.pipe(v.string(), v.isoTimestamp());
const state = v.picklist(STATES);
const stage = v.picklist(CREATING_STAGES);
const attemptState = v.picklist(keysOf(ATTEMPT_STATES) satisfies AttemptState[]);
const described = <S extends v.GenericSchema>(schema: S, description: string) =>
  v.pipe(schema, v.description(description));

/** Text from a person, trimmed. */
const text = (maxLength: number) => {
  const allowed = `must be text of 1 to ${maxLength} characters, without control characters`;
  return v.pipe(
    v.string(allowed),
    v.trim(),
    v.minLength(1, allowed),
    v.maxLength(maxLength, allowed),
    v.check(isSafeText, allowed),
  );
};

const reasonText = text(500);

// Responses

const reason = v.strictObject({ code: v.string(), message: v.string() });

const user = v.strictObject({ name: v.string(), class: v.string(), roll: v.pipe(v.number(), v.integer()) });

const relation = v.strictObject({
  id: described(v.string(), "The order's name without orders/."),
  order: v.string(),
  state: v.optional(state),
  ...recordOf(CREATING_STAGES, (stage) =>
    described(v.optional(v.string()), `The ${STAGES[stage].creates.title}'s name.`),
  ),
  customerId: v.optional(v.string()),
  placedAt: v.optional(time),
  customer: v.optional(v.union([user, v.strictObject({ reason })])),
  times: described(v.strictObject(recordOf(STATES, () => v.optional(time))), "When the order reached each state."),
  version: v.string(),
});

const attempt = v.strictObject({
  order: v.string(),
  stage,
  state: attemptState,
  tries: v.pipe(v.number(), v.integer(), v.minValue(0)),
  policy: v.picklist(["park", "idempotency-key"]),
  reason: v.optional(reason),
  claimedAt: described(v.optional(time), "Time of the latest claim."),
  nextTryAt: v.optional(time),
  leaseUntil: v.optional(time),
  version: described(v.string(), "Send it back with a decision."),
});

const historyEntry = v.strictObject({
  state,
  at: time,
  ...recordOf(CREATING_STAGES, () => v.optional(v.string())),
});

const auditEntry = v.strictObject({
  order: v.string(),
  stage,
  action: v.picklist(["link", "try again", "dismiss"]),
  name: described(v.optional(v.string()), "The linked name."),
  by: v.string(),
  reason: v.string(),
  at: time,
});

const unreadable = v.strictObject({ id: v.string(), reason: v.string() });

const orderDetail = v.strictObject({
  order: v.string(),
  relation: v.nullable(relation),
  attempts: v.array(attempt),
  history: v.array(historyEntry),
  audit: v.array(auditEntry),
  unreadable: v.array(unreadable),
});

const relationPage = v.strictObject({
  relations: v.array(relation),
  unreadable: v.array(unreadable),
  nextPageToken: described(v.string(), "Empty on the last page."),
});

const orderSummary = v.strictObject({
  id: v.string(),
  state: described(v.nullable(state), "Null for an order that has only an attempt so far."),
  attention: described(v.nullable(stage), "The stage whose attempt needs an operator."),
  placedAt: described(v.nullable(time), "When the order was placed, if the food service returns it."),
  since: described(v.nullable(time), "When the order reached its state."),
  customer: v.nullable(v.string()),
  ...recordOf(CREATING_STAGES, () => v.nullable(v.string())),
});

const searchPage = v.strictObject({ orders: v.array(orderSummary), nextPageToken: v.string() });

const quantiles = v.nullable(
  v.strictObject({
    samples: v.pipe(v.number(), v.integer()),
    medianMs: v.number(),
    p95Ms: v.number(),
  }),
);

const stageTimes = v.strictObject(recordOf(ACTIVE_STATUSES, () => quantiles));

const hour = v.strictObject({
  at: described(time, "When the hour began."),
  arrived: described(v.number(), "Orders that the poll saw for the first time."),
  ...recordOf(STATES, () => described(v.number(), "Orders that reached this state.")),
  stages: stageTimes,
});

const stageSummary = v.strictObject({ stages: stageTimes });

const statistics = v.strictObject({
  hours: described(v.array(hour), "Up to 168, oldest first. The last hour is still in progress."),
  day: stageSummary,
  week: stageSummary,
});

const problem = v.pipe(
  v.strictObject({
    type: v.string(),
    title: v.string(),
    status: v.pipe(v.number(), v.integer()),
    detail: v.string(),
  }),
  v.description("Problem details, RFC 9457."),
);

const linkedNow = (statuses: string[]) =>
  v.nullable(v.union([v.strictObject({ status: v.picklist(statuses) }), v.strictObject({ problem: reason })]));

const foodServiceView = v.strictObject({
  at: described(time, "When the food service replied."),
  order: v.strictObject({ status: v.picklist(keysOf(ORDER_STATUSES)), placedAt: v.optional(time) }),
  kitchenOrder: linkedNow(keysOf(KITCHEN_STATUSES)),
  shipment: linkedNow(keysOf(SHIPMENT_STATUSES)),
});

const storedDocument = v.strictObject({
  path: v.string(),
  version: v.string(),
  fields: v.record(v.string(), v.any()),
});

const decided = v.strictObject({ decision: auditEntry, state: v.picklist(RESOLVED_STATES) });

const decisionResults = v.strictObject({
  results: v.array(
    v.strictObject({
      id: v.string(),
      stage,
      problem: described(v.optional(problem), "Why this attempt was not decided."),
    }),
  ),
});

/** Every response, by its name in the OpenAPI document. */
export const ANSWERS = {
  User: user,
  Relation: relation,
  Attempt: attempt,
  HistoryEntry: historyEntry,
  AuditEntry: auditEntry,
  Unreadable: unreadable,
  OrderDetail: orderDetail,
  RelationPage: relationPage,
  OrderSummary: orderSummary,
  SearchPage: searchPage,
  Hour: hour,
  Statistics: statistics,
  Problem: problem,
  FoodServiceView: foodServiceView,
  Documents: v.strictObject({ documents: v.array(storedDocument) }),
  Decided: decided,
  DecisionResults: decisionResults,
  Health: v.strictObject({ status: v.literal("ok") }),
} as const;

export type AnswerName = keyof typeof ANSWERS;
type Answer<N extends AnswerName> = v.InferOutput<(typeof ANSWERS)[N]>;

export type RelationView = Answer<"Relation">;
export type AttemptView = Answer<"Attempt">;
export type HistoryView = Answer<"HistoryEntry">;
export type AuditView = Answer<"AuditEntry">;
export type OrderDetail = Answer<"OrderDetail">;
export type RelationPage = Answer<"RelationPage">;
export type OrderSummary = Answer<"OrderSummary">;
export type SearchPage = Answer<"SearchPage">;
export type HourView = Answer<"Hour">;
export type StatisticsView = Answer<"Statistics">;
export type StageSummary = StatisticsView["day"];
export type ProblemView = Answer<"Problem">;
export type FoodServiceView = Answer<"FoodServiceView">;
export type Documents = Answer<"Documents">;
export type Decided = Answer<"Decided">;
export type DecisionResults = Answer<"DecisionResults">;

// Requests

const SIZE = `must be a whole number from 1 to ${MAX_PAGE_SIZE}`;

export const listQuery = v.strictObject({
  state: described(v.optional(v.array(state)), "Repeatable. Defaults to all states."),
  pageSize: described(
    v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[1-9]\d{0,2}$/, SIZE),
        v.check((size) => Number(size) <= MAX_PAGE_SIZE, SIZE),
      ),
    ),
    `From 1 to ${MAX_PAGE_SIZE}. Defaults to 50.`,
  ),
  pageToken: described(v.optional(v.string()), "The nextPageToken of the previous page."),
});

const OUTCOME = `must be one of ${ENDED_STATES.join(", ")}`;
const DAY = "must be a day such as 2026-11-26";

export const searchQuery = v.strictObject({
  q: described(
    v.optional(text(1_400)),
    "The whole id or name of an order, a kitchen order or a shipment, or a customer's id. A customer's orders come newest first.",
  ),
  outcome: described(v.optional(v.picklist(ENDED_STATES, OUTCOME)), "Only orders that ended like this."),
  day: described(
    v.optional(
      v.pipe(
        v.string(),
        v.regex(/^\d{4}-\d\d-\d\d$/, DAY),
        v.check((day) => !Number.isNaN(Date.parse(day)), DAY),
      ),
    ),
    "Only orders that ended on this day (UTC). Without q and day: in the last 24 hours.",
  ),
  pageToken: described(v.optional(v.string()), "The nextPageToken of the previous page."),
});

const version = described(text(100), "The attempt's version as you saw it.");

export const linkBody = v.strictObject({
  name: described(text(1_400), "Such as kitchenorders/5678."),
  reason: reasonText,
  version,
});

export const retryBody = v.strictObject({ reason: reasonText, version });

export const decisionsBody = v.strictObject({
  action: v.picklist(["retry", "dismiss"]),
  reason: reasonText,
  attempts: v.pipe(
    v.array(
      v.strictObject({
        id: described(text(1_400), "The order's name without orders/."),
        stage,
        claim: described(
          text(100),
          "The id of the attempt's claim as you saw it. An attempt that has changed since is not decided.",
        ),
      }),
    ),
    v.minLength(1, "must name an attempt"),
    v.maxLength(MAX_DECISIONS, `must name at most ${MAX_DECISIONS} attempts`),
  ),
});
