/** Half of what a poll does, behind a schedule: listing alone, or publishing the same messages alone. */

import { PubSub } from "@google-cloud/pubsub";
import { Client, credentials } from "@grpc/grpc-js";
import { onSchedule } from "firebase-functions/v2/scheduler";
import { OrderServiceService as orders } from "../../functions/src/generated/food/v1/food.js";
import { call } from "../../services/call.ts";

const { FOOD_SERVICE_ADDRESS = "", FOOD_SERVICE_CA = "", BENCH_ORDERS, POLL_PAGE_SIZE } = process.env;

const pageSize = Number(POLL_PAGE_SIZE);

/** Lists every new order, page by page, and the two lists with nothing in them. */
async function list() {
  const food = new Client(FOOD_SERVICE_ADDRESS, credentials.createSsl(Buffer.from(FOOD_SERVICE_CA)));
  let listed = 0;
  for (const statusFilter of [1, 2, 3]) {
    let pageToken = "";
    do {
      const page = await call(food, orders.listOrders, { statusFilter, pageSize, pageToken });
      listed += page.orders.length;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }
  food.close();
  if (listed !== Number(BENCH_ORDERS)) throw new Error(`${listed} orders were listed`);
}

/** Publishes as many messages as there are orders, a page at a time. */
async function publish() {
  const pubsub = new PubSub();
  const topic = pubsub.topic("orders-new", { batching: { maxMessages: 1000, maxMilliseconds: 20 } });
  for (let from = 0; from < Number(BENCH_ORDERS); from += pageSize) {
    const count = Math.min(pageSize, Number(BENCH_ORDERS) - from);
    const published = Array.from({ length: count }, (_, index) =>
      topic.publishMessage({ json: { order: `orders/active-${from + index}`, status: "NEW" } }),
    );
    await topic.flush();
    await Promise.all(published);
  }
  await pubsub.close();
}

const { [process.env.BENCH_CASE]: work } = { list, publish };

export const baseline = onSchedule("every 1 minutes", work);
