/** The account and the resources of each function. Tests compare the manifest, the accounts and the docs with this file. */
import { type Expression, expr, projectID } from "firebase-functions/params";
import { STAGE_CONCURRENCY, STAGE_MAX_INSTANCES } from "../../config.js";

/**
 * For events. An event spends nearly all of its time waiting for calls and documents, so many events share an instance. The timeout
 * covers four calls with the longest CALL_DEADLINE_SECONDS, the waits for their slots, and the writes between them. Flow control
 * prevents 20 instances with 80 events each from overloading the food service.
 */
const EVENT_OPTIONS = {
  memory: "256MiB",
  cpu: 1,
  concurrency: 80,
  minInstances: 0,
  maxInstances: 20,
  timeoutSeconds: 300,
} as const;

/** For messages with up to 25 orders: as many orders at a time as flow control has room for. */
const PACKED_OPTIONS = { ...EVENT_OPTIONS, concurrency: 16 } as const;

/** For runs that exclude each other by a lease: a second instance would find the lease held. */
const SINGLETON_OPTIONS = { cpu: 1, concurrency: 1, minInstances: 0, maxInstances: 1 } as const;

/** For the poll, which holds pages of orders. Its longest lease under any settings is 210 seconds. */
const POLL_OPTIONS = { ...SINGLETON_OPTIONS, memory: "512MiB", timeoutSeconds: 240 } as const;

export const FUNCTION_OPTIONS = {
  pollOrders: { account: "poll-orders", ...POLL_OPTIONS },
  // Two, so a duplicated continuation is rejected immediately instead of waiting.
  continuePoll: { account: "continue-poll", ...POLL_OPTIONS, maxInstances: 2 },
  sendToKitchen: { account: "send-to-kitchen", ...EVENT_OPTIONS },
  dispatchShipment: { account: "dispatch-shipment", ...PACKED_OPTIONS },
  completeOrder: { account: "complete-order", ...PACKED_OPTIONS },
  onRelationWritten: { account: "on-relation-written", ...EVENT_OPTIONS },
  // Customers are never urgent: this limits the load on the user orchestrators.
  onRelationCreated: { account: "on-relation-created", ...EVENT_OPTIONS, maxInstances: 10 },
  // The memory holds the names of all active orders, about 150 bytes each. The timeout is shorter than the lease of 540 seconds.
  sweep: { account: "sweep-orders", ...SINGLETON_OPTIONS, memory: "1GiB", timeoutSeconds: 540 },
  // People send these requests: there are few, and a reply after this time is useless.
  api: { account: "operators-api", ...EVENT_OPTIONS, maxInstances: 5, timeoutSeconds: 60 },
} as const;

export type FunctionName = keyof typeof FUNCTION_OPTIONS;

/**
 * The full address of an account in the project of the deploy. The short form, `name@`, does not suffice: the Firebase CLI
 * completes it for the function, but not for a secret's policy or a Cloud Scheduler job.
 */
function serviceAccount(account: string): Expression<string> {
  return expr`${account}@${projectID}.iam.gserviceaccount.com`;
}

/** The options that params override; the table has their defaults. */
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
