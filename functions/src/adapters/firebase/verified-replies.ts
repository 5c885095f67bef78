/** Verifies that each reply of the food service is about the requested resource. */
import { callError } from "../../domain/errors.js";
import type { FoodService } from "../../ports.js";

/** The same service, except that a reply with another name than the requested one becomes a `CallError` with the code BAD_REPLY. */
export function withCheckedReplies(food: FoodService): FoodService {
  return {
    ready: () => food.ready(),
    listOrders: (request) => food.listOrders(request),
    getOrder: async (name) => checked(name, await food.getOrder(name)),
    updateOrder: (name, status) => food.updateOrder(name, status),
    createKitchenOrder: (options) => food.createKitchenOrder(options),
    getKitchenOrder: async (name) => checked(name, await food.getKitchenOrder(name)),
    createShipment: (options) => food.createShipment(options),
    getShipment: async (name) => checked(name, await food.getShipment(name)),
  };
}

function checked<R extends { name: string }>(asked: string, reply: R): R {
  if (reply.name === asked) return reply;
  throw callError("BAD_REPLY", `asked for ${asked}, the food service answered with ${reply.name || "no name"}`, true);
}
