/** What is deployed, one line a function. */
import { completeOrder as complete } from "./completion/complete-order.js";
import { resolveCustomer as resolve } from "./customers/resolve-customer.js";
import { continuePoll as goOn, pollOrders as poll } from "./intake/poll.js";
import { sendToKitchen as cook } from "./kitchen/send-to-kitchen.js";
import {
  pollContinuation,
  relationCreated,
  relationWritten,
  scheduledPoll,
  scheduledSweep,
  stage,
} from "./platform/triggers.js";
import { onRelationWritten as react } from "./relations/on-relation-written.js";
import { sweep as sweepAll } from "./relations/sweep.js";
import { dispatchShipment as dispatch } from "./shipment/dispatch-shipment.js";

export const pollOrders = scheduledPoll(poll);
export const continuePoll = pollContinuation(goOn);
export const sendToKitchen = stage("kitchen", cook);
export const dispatchShipment = stage("shipment", dispatch);
export const completeOrder = stage("completion", complete);
export const onRelationWritten = relationWritten("report", react);
export const onRelationCreated = relationCreated("customer", resolve);
export const sweep = scheduledSweep(sweepAll);
