/** What a run itself reads from its food service, besides the functions. */
import { type FoodServiceConnection, GrpcFoodService } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock } from "../functions/src/adapters/firebase/system-clock.js";
import { ACTIVE_STATUSES } from "../functions/src/domain/order-lifecycle.js";
import { StartError } from "../services/server.js";

/** Orders with these statuses have a kitchen order or a shipment that only a relation names. */
const PAST_NEW = ACTIVE_STATUSES.filter((status) => status !== "NEW");

/** One page is enough for a line on the terminal. */
const MAX_NEW_ORDERS = 1_000;

/** NEW orders, as the food service lists them. */
export interface NewOrders {
  names: string[];
  /** Whether these are all. */
  isAll: boolean;
}

export class FoodServiceView {
  private readonly food: GrpcFoodService;

  constructor(private readonly connection: FoodServiceConnection) {
    this.food = new GrpcFoodService(connection, systemClock);
  }

  /**
   * An order that the food service shows past NEW, such as "orders/1 is PREPARATION"; undefined when there is none.
   * @throws StartError when the orders can't be listed
   */
  async findOrderPastNew(): Promise<string | undefined> {
    try {
      for (const status of PAST_NEW) {
        const { orders } = await this.food.listOrders({ status, pageSize: 1, pageToken: "" });
        const found = orders.find((order) => order.status === status);
        if (found) return `${found.name} is ${status}`;
      }
      return undefined;
    } catch (error) {
      throw new StartError(
        `The food service on ${this.connection.FOOD_SERVICE_ADDRESS} can't list its orders: ${(error as Error).message}.`,
      );
    }
  }

  /**
   * The NEW orders, at most the first thousand.
   * @throws CallError
   */
  async newOrders(): Promise<NewOrders> {
    const { orders, nextPageToken } = await this.food.listOrders({
      status: "NEW",
      pageSize: MAX_NEW_ORDERS,
      pageToken: "",
    });
    const names = orders.filter(({ status }) => status === "NEW").map(({ name }) => name);
    return { names, isAll: nextPageToken === "" };
  }

  close(): void {
    this.food.close();
  }
}
