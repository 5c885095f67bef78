/** What is deployed, one line per function. */
import { operatorsApi } from "./adapters/firebase/http.js";
import { pollContinuation, relationCreated, relationWritten, scheduled, stage } from "./adapters/firebase/triggers.js";

export const pollOrders = scheduled("pollOrders");
export const continuePoll = pollContinuation();
export const sendToKitchen = stage("kitchen");
export const dispatchShipment = stage("shipment");
export const completeOrder = stage("completion");
export const onRelationWritten = relationWritten("report");
export const onRelationCreated = relationCreated("customer");
export const sweep = scheduled("sweep");
export const api = operatorsApi();
