/** Places orders in a food service, as a customer would. */
import {
  type FoodServiceConnection,
  foodServiceChannel,
} from "../../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock } from "../../functions/src/adapters/firebase/system-clock.js";
import { type CallError, isCallError } from "../../functions/src/domain/errors.js";
import { Order_Status, OrderServiceService } from "../../functions/src/generated/food/v1/food.js";
import { CONNECTION_OPTIONS, callerProblem } from "./connection-options.js";

/** An order could not be placed; the message says why. */
export class NotPlacedError extends Error {
  override readonly name = "NotPlacedError";
}

interface Placing {
  connection: FoodServiceConnection;
  customer: string;
  count: number;
}

/**
 * Places this many orders, one after the other, and yields the name of each.
 * @throws NotPlacedError if the service can't be reached, is another one, or rejects the order
 */
export async function* placeOrders({ connection, customer, count }: Placing): AsyncGenerator<string> {
  const channel = foodServiceChannel(connection, systemClock, CONNECTION_OPTIONS);
  const order = { name: "", createTime: "", updateTime: "", customerId: customer, status: Order_Status.UNKNOWN };
  try {
    for (let placed = 0; placed < count; placed++) {
      yield (await channel.call(OrderServiceService.createOrder, { order })).name;
    }
  } catch (error) {
    if (!isCallError(error)) throw error;
    throw new NotPlacedError(reasonOf(error, connection), { cause: error });
  } finally {
    channel.close();
  }
}

function reasonOf(error: CallError, connection: FoodServiceConnection): string {
  const { FOOD_SERVICE_ADDRESS: server, CALL_DEADLINE_SECONDS: seconds } = connection;
  // gRPC wraps the connection's error in its own message.
  const plain = error.message
    .replace(/^\/\S+: /, "")
    .replace(/^No connection established\. Last error: (Error: )?/, "")
    .replace(/\.? Resolution note:.*/s, "");
  const problem = callerProblem(error, connection);
  if (problem !== undefined) return problem;
  if (error.code === "UNAVAILABLE") return `The food service at ${server} can't be reached: ${plain}`;
  if (error.code === "DEADLINE_EXCEEDED") return `The food service at ${server} did not answer within ${seconds} s`;
  return `The food service at ${server} rejected the order: ${error.code} ${plain}`;
}
