/** What each function runs as, and on. Stated only here: tests compare the manifest, the accounts and the docs with it. */
import { type Expression, expr, projectID } from "firebase-functions/params";
import { STAGE_CONCURRENCY, STAGE_MAX_INSTANCES } from "../../config.js";

/**
 * For events: an event waits for calls and documents nearly all of its time, so many share an instance. Four calls of the
 * longest CALL_DEADLINE_SECONDS, the waits for their slots and the writes between them fit into the time. Flow control keeps
 * 20 instances with 80 events each from being more than the food service sustains.
 */
const EVENT_OPTIONS = {
  memory: "256MiB",
  cpu: 1,
  concurrency: 80,
  minInstances: 0,
  maxInstances: 20,
  timeoutSeconds: 300,
} as const;

/** For messages with up to 25 orders: with as many orders in work as flow control has room for. */
const PACKED_OPTIONS = { ...EVENT_OPTIONS, concurrency: 16 } as const;

/** For what runs one at a time: a lease sees to that, a second instance would only find it taken. */
const SINGLETON_OPTIONS = { cpu: 1, concurrency: 1, minInstances: 0, maxInstances: 1 } as const;

/** For the poll: pages of orders and the Pub/Sub client. Its longest lease under any settings is 210 seconds. */
const POLL_OPTIONS = { ...SINGLETON_OPTIONS, memory: "512MiB", timeoutSeconds: 240 } as const;

export const FUNCTION_OPTIONS = {
  pollOrders: { account: "poll-orders", ...POLL_OPTIONS },
  // Two, so a doubled continuation is turned away at once instead of waiting.
  continuePoll: { account: "continue-poll", ...POLL_OPTIONS, maxInstances: 2 },
  sendToKitchen: { account: "send-to-kitchen", ...EVENT_OPTIONS },
  dispatchShipment: { account: "dispatch-shipment", ...PACKED_OPTIONS },
  completeOrder: { account: "complete-order", ...PACKED_OPTIONS },
  onRelationWritten: { account: "on-relation-written", ...EVENT_OPTIONS },
  // Customers are never urgent: this limits the load on the user orchestrators.
  onRelationCreated: { account: "on-relation-created", ...EVENT_OPTIONS, maxInstances: 10 },
  // Holds the names of all active orders, some 150 bytes each, and ends before its lease of 540 seconds.
  sweep: { account: "sweep-orders", ...SINGLETON_OPTIONS, memory: "1GiB", timeoutSeconds: 540 },
  // People ask: few requests, and an answer that takes longer is not waited for.
  api: { account: "operators-api", ...EVENT_OPTIONS, maxInstances: 5, timeoutSeconds: 60 },
} as const;

export type FunctionName = keyof typeof FUNCTION_OPTIONS;

/**
 * The whole address of an account in the project that the function is deployed to. The short form, `name@`, is not enough:
 * the Firebase CLI completes it for the function but not for a secret's policy or a Cloud Scheduler job.
 */
function serviceAccount(account: string): Expression<string> {
  return expr`${account}@${projectID}.iam.gserviceaccount.com`;
}

/** What params decide instead of the table, which has their defaults. */
const SCALED_BY_PARAMS: { [Name in FunctionName]?: object } = {
  sendToKitchen: { maxInstances: STAGE_MAX_INSTANCES, concurrency: STAGE_CONCURRENCY },
  dispatchShipment: { maxInstances: STAGE_MAX_INSTANCES },
  completeOrder: { maxInstances: STAGE_MAX_INSTANCES },
  onRelationWritten: { maxInstances: STAGE_MAX_INSTANCES, concurrency: STAGE_CONCURRENCY },
};

/** The options of a function, for its trigger. */
export function optionsOf<Name extends FunctionName>(name: Name) {
  const { account, ...resources } = FUNCTION_OPTIONS[name];
  return { ...resources, ...SCALED_BY_PARAMS[name], serviceAccount: serviceAccount(account) };
}
