/** The seven steps of an order's way as bare calls to the food service, for peers to carry out in their own manner. */
import { Client, credentials, type MethodDefinition } from "@grpc/grpc-js";
import { KITCHEN_STATUSES, ORDER_STATUSES, SHIPMENT_STATUSES } from "../../functions/src/domain/order-lifecycle.js";
import {
  DroneServiceService as drones,
  KitchenServiceService as kitchens,
  OrderServiceService as orders,
} from "../../functions/src/generated/food/v1/food.js";

import { call } from "../../services/call.js";

const { FOOD_SERVICE_ADDRESS = "", FOOD_SERVICE_CA = "" } = process.env;

const food = new Client(FOOD_SERVICE_ADDRESS, credentials.createSsl(Buffer.from(FOOD_SERVICE_CA)));

/** A time between two looks at something that is not ready, in milliseconds. */
const AGAIN = 20;

/** One call, with an idempotency key if it is a create. */
function ask<Q, R>(method: MethodDefinition<Q, R>, request: Q, key?: string): Promise<R> {
  return call(food, method, request, key === undefined ? {} : { metadata: { "idempotency-key": key } });
}

async function update(name: string, status: keyof typeof ORDER_STATUSES): Promise<void> {
  const order = { name, status: ORDER_STATUSES[status].code, createTime: "", updateTime: "", customerId: "" };
  await ask(orders.updateOrder, { order, updateMask: ["status"] });
}

async function until<R extends { status: number }>(status: number, look: () => Promise<R>): Promise<void> {
  while ((await look()).status !== status) await new Promise((resolve) => setTimeout(resolve, AGAIN));
}

/** Each step takes what it needs and can be carried out again. */
const steps = {
  sendToKitchen: async (order: string) => {
    const kitchenorder = { name: "", createTime: "", updateTime: "", status: 1 };
    return (await ask(kitchens.createKitchenOrder, { kitchenorder }, `kitchen ${order}`)).name;
  },
  reportPreparation: (order: string) => update(order, "PREPARATION"),
  awaitPackaged: (name: string) => until(KITCHEN_STATUSES.PACKAGED.code, () => ask(kitchens.getKitchenOrder, { name })),
  dispatchShipment: async (order: string) => {
    const shipment = { name: "", createTime: "", updateTime: "", status: 1 };
    return (await ask(drones.createShipment, { shipment }, `shipment ${order}`)).name;
  },
  reportFlight: (order: string) => update(order, "IN_FLIGHT"),
  awaitDelivered: (name: string) => until(SHIPMENT_STATUSES.DELIVERED.code, () => ask(drones.getShipment, { name })),
  reportDelivered: (order: string) => update(order, "DELIVERED"),
};

/** One order from its first step to its last; `step` carries each out. */
export async function carry(
  order: string,
  step: <T>(name: string, work: () => Promise<T>) => Promise<T>,
): Promise<void> {
  const kitchen = await step("send to kitchen", () => steps.sendToKitchen(order));
  await step("report preparation", () => steps.reportPreparation(order));
  await step("await packaged", () => steps.awaitPackaged(kitchen));
  const shipment = await step("dispatch shipment", () => steps.dispatchShipment(order));
  await step("report flight", () => steps.reportFlight(order));
  await step("await delivered", () => steps.awaitDelivered(shipment));
  await step("report delivered", () => steps.reportDelivered(order));
}
