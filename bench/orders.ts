/** Orders at some point of their way, made in the food service and in Firestore before a bench begins. */
import pMap from "p-map";
import { GrpcFoodService } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { parseTrust } from "../functions/src/credentials.js";
import { type Document, writeDocuments } from "../harness/emulators/firestore-rest.js";
import type { Emulators } from "../harness/emulators/standalone.js";
import type { FoodServiceProcess } from "../harness/food-service-process.js";
import { connectionTo } from "../services/food-service/connection-options.js";
import { placeOrders } from "../services/food-service/place-orders.js";

/** A client of the food service, of the functions' own kind. */
export function clientOf(food: FoodServiceProcess): GrpcFoodService {
  const settings = {
    FOOD_SERVICE_ADDRESS: food.address,
    FOOD_SERVICE_SECURITY: "tls",
    FOOD_SERVICE_CA: parseTrust(food.certificate),
    CALL_DEADLINE_SECONDS: 10,
  } as const;
  return new GrpcFoodService(settings, { now: () => Date.now(), sleep: async () => {} });
}

/** Places this many orders and returns their names. */
export async function place(food: FoodServiceProcess, count: number): Promise<string[]> {
  const placing = { connection: connectionTo(food.address, food.certificate), customer: "krithik", count };
  return Array.fromAsync(placeOrders(placing));
}

/** How many orders are seeded or carried concurrently. */
const CONCURRENCY = 40;

/** Does the work for each, some concurrently. */
export async function forEachOrder(orders: string[], work: (order: string) => Promise<unknown>): Promise<void> {
  await pMap(orders, work, { concurrency: CONCURRENCY });
}

/** An order that waits for its kitchen or its shipment, and the relation that says so. */
export interface Waiting {
  order: string;
  relation: Document;
}

/** Moves an order to the status in which it waits, and writes its relation as the functions would. */
export async function seedOrderAt(
  status: "PREPARATION" | "IN_FLIGHT",
  order: string,
  client: GrpcFoodService,
  { firestore }: Emulators,
  project: string,
): Promise<Waiting> {
  const options = { idempotencyKey: order, deadline: Date.now() + 10_000 };
  const kitchen = (await client.createKitchenOrder(options)).name;
  const shipment = status === "IN_FLIGHT" ? (await client.createShipment(options)).name : undefined;
  await client.updateOrder(order, status);
  const relation = {
    path: `relations/${order.slice("orders/".length)}`,
    fields: {
      schema: 1,
      state: status,
      kitchen,
      ...(shipment && { shipment }),
      customerId: "krithik",
      times: { [status]: new Date() },
    },
  };
  await writeDocuments(firestore, project, [relation]);
  return { order, relation };
}
