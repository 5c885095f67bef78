/** The calls of a stage and nothing else, behind a trigger: no check of what comes, no log, no case but the one that is measured. */
import { randomUUID } from "node:crypto";
import { Client, credentials } from "@grpc/grpc-js";
import { initializeApp } from "firebase-admin/app";
import { getFirestore } from "firebase-admin/firestore";
import { onMessagePublished } from "firebase-functions/v2/pubsub";
import {
  KitchenServiceService as kitchens,
  OrderServiceService as orders,
} from "../../functions/src/generated/food/v1/food.js";
import { call } from "../../services/call.ts";

const { FOOD_SERVICE_ADDRESS = "", FOOD_SERVICE_CA = "" } = process.env;

const store = getFirestore(initializeApp());
const food = new Client(FOOD_SERVICE_ADDRESS, credentials.createSsl(Buffer.from(FOOD_SERVICE_CA)));

async function read(path) {
  const [found] = await store.getAll(store.doc(path));
  return found;
}

async function commit(add) {
  const batch = store.batch();
  add(batch);
  const [result] = await batch.commit();
  return { lastUpdateTime: result.writeTime };
}

/** A tick that finds a kitchen order not packaged yet. */
async function tick(name) {
  const relation = await read(`relations/${name.slice("orders/".length)}`);
  await call(food, kitchens.getKitchenOrder, { name: relation.get("kitchen") });
}

/** A message of an order that went to the kitchen before. */
async function duplicate(name) {
  await read(`relations/${name.slice("orders/".length)}`);
  await call(food, orders.getOrder, { name });
}

/** A new order: claimed, sent to the kitchen, linked. */
async function create(name) {
  const id = name.slice("orders/".length);
  await read(`relations/${id}`);
  const order = await call(food, orders.getOrder, { name });
  const now = Date.now();
  const claim = {
    schema: 1,
    order: name,
    stage: "kitchen",
    id: randomUUID(),
    policy: "park",
    tries: 1,
    leaseUntil: new Date(now + 60_000),
    state: "SENDING",
    nextTryAt: null,
    reason: null,
  };
  const attempt = store.doc(`attempts/kitchen:${id}`);
  const version = await commit((batch) => batch.create(attempt, claim));
  await read(`relations/${id}`);
  const metadata = { "idempotency-key": randomUUID() };
  const kitchenorder = { name: "", createTime: "", updateTime: "", status: 1 };
  const made = await call(food, kitchens.createKitchenOrder, { kitchenorder }, { metadata });
  const at = new Date(now);
  const linked = { schema: 1, state: "PREPARATION", kitchen: made.name };
  await commit((batch) => {
    const relation = { ...linked, times: { PREPARATION: at }, customerId: order.customerId };
    batch.create(store.doc(`relations/${id}`), relation);
    batch.delete(attempt, version);
    batch.create(store.doc(`history/${randomUUID()}`), { ...linked, order: name, at });
  });
}

const { [process.env.BENCH_CASE]: work } = { create, duplicate, tick };

export const baseline = onMessagePublished("baseline", (event) => work(event.data.message.json.order));
