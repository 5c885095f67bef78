/**
 * The same flow as Google's guides and samples for Firebase, Pub/Sub, Firestore and gRPC write it: what a team has without this
 * project. Lost answers, doubled events, cancelled orders and overload are not handled.
 */
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { PubSub } from "@google-cloud/pubsub";
import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { initializeApp } from "firebase-admin/app";
import { FieldValue, getFirestore } from "firebase-admin/firestore";
import { onDocumentWritten } from "firebase-functions/firestore";
import * as logger from "firebase-functions/logger";
import { onMessagePublished } from "firebase-functions/pubsub";
import { onSchedule } from "firebase-functions/scheduler";

initializeApp();
const db = getFirestore();
const pubsub = new PubSub();

const PROTOS = fileURLToPath(new URL("../../../proto", import.meta.url));
const { food } = loadPackageDefinition(
  loadSync("food/v1/food.proto", {
    includeDirs: [PROTOS],
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  }),
);

const { FOOD_SERVICE_ADDRESS, FOOD_SERVICE_CA } = process.env;
const channelCredentials = credentials.createSsl(Buffer.from(FOOD_SERVICE_CA));
const orders = new food.v1.OrderService(FOOD_SERVICE_ADDRESS, channelCredentials);
const kitchens = new food.v1.KitchenService(FOOD_SERVICE_ADDRESS, channelCredentials);
const drones = new food.v1.DroneService(FOOD_SERVICE_ADDRESS, channelCredentials);
const listOrders = promisify(orders.listOrders.bind(orders));
const updateOrder = promisify(orders.updateOrder.bind(orders));
const createKitchenOrder = promisify(kitchens.createKitchenOrder.bind(kitchens));
const getKitchenOrder = promisify(kitchens.getKitchenOrder.bind(kitchens));
const createShipment = promisify(drones.createShipment.bind(drones));
const getShipment = promisify(drones.getShipment.bind(drones));

const TOPICS = { NEW: "orders-new", PREPARATION: "orders-preparation", IN_FLIGHT: "orders-in-flight" };

/** The order that a message names, and the document that links it to its kitchen order and shipment. */
function orderOf(event) {
  const { order } = event.data.message.json;
  return { order, relation: db.collection("relations").doc(order.replace("orders/", "")) };
}

/** Saves what a stage has reached, and an entry of the history, unless another event was faster. */
function save(relation, state, link) {
  return db.runTransaction(async (transaction) => {
    const current = await transaction.get(relation);
    if (current.get("state") === state) return;
    const at = FieldValue.serverTimestamp();
    transaction.set(relation, { ...link, state, times: { [state]: at } }, { merge: true });
    transaction.create(db.collection("history").doc(), { ...link, order: `orders/${relation.id}`, state, at });
  });
}

export const pollOrders = onSchedule("every 1 minutes", async () => {
  for (const [status, name] of Object.entries(TOPICS)) {
    const topic = pubsub.topic(name);
    let pageToken = "";
    do {
      const page = await listOrders({ status_filter: status, page_size: 500, page_token: pageToken });
      await Promise.all(page.orders.map((order) => topic.publishMessage({ json: { order: order.name } })));
      pageToken = page.next_page_token;
    } while (pageToken);
  }
});

export const sendToKitchen = onMessagePublished({ topic: TOPICS.NEW, retry: true }, async (event) => {
  const { order, relation } = orderOf(event);
  const current = await relation.get();
  if (current.get("kitchen")) return;

  const kitchenOrder = await createKitchenOrder({ kitchenorder: { status: "NEW" } });
  await save(relation, "PREPARATION", { kitchen: kitchenOrder.name });
  logger.info("Sent to kitchen", { order, kitchen: kitchenOrder.name });
});

export const dispatchShipment = onMessagePublished({ topic: TOPICS.PREPARATION, retry: true }, async (event) => {
  const { order, relation } = orderOf(event);
  const current = await relation.get();
  if (current.get("shipment")) return;

  const kitchenOrder = await getKitchenOrder({ name: current.get("kitchen") });
  if (kitchenOrder.status !== "PACKAGED") return;
  const shipment = await createShipment({ shipment: { status: "NEW" } });
  await save(relation, "IN_FLIGHT", { shipment: shipment.name });
  logger.info("Shipment dispatched", { order, shipment: shipment.name });
});

export const completeOrder = onMessagePublished({ topic: TOPICS.IN_FLIGHT, retry: true }, async (event) => {
  const { order, relation } = orderOf(event);
  const current = await relation.get();

  const shipment = await getShipment({ name: current.get("shipment") });
  if (shipment.status !== "DELIVERED" && shipment.status !== "REJECTED") return;
  await save(relation, shipment.status, {});
  logger.info("Completed", { order, status: shipment.status });
});

export const onRelationWritten = onDocumentWritten({ document: "relations/{id}", retry: true }, async (event) => {
  const before = event.data.before.get("state");
  const after = event.data.after.get("state");
  if (!after || after === before) return;

  const order = { name: `orders/${event.params.id}`, status: after };
  await updateOrder({ order, update_mask: { paths: ["status"] } });
  logger.info("Status reported", { order: order.name, status: after });
});
