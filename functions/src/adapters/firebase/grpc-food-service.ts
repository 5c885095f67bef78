/** The food service over gRPC. */

import { KITCHEN_STATUSES, ORDER_STATUSES, SHIPMENT_STATUSES, statusFromCode } from "../../domain/order-lifecycle.js";
import {
  DroneServiceService as drones,
  KitchenServiceService as kitchens,
  OrderServiceService as orders,
  type KitchenOrder as WireKitchenOrder,
  type Order as WireOrder,
  type Shipment as WireShipment,
} from "../../generated/food/v1/food.js";
import type { Clock, CreateOptions, FoodService, KitchenOrder, Order, Shipment } from "../../ports.js";
import type { Settings } from "../../settings.js";
import { GrpcChannel } from "./grpc-channel.js";

/** Reads and updates may be repeated; a create that was sent must not be, whatever became of it. */
const IDEMPOTENT_METHODS = [
  orders.getOrder,
  orders.listOrders,
  orders.updateOrder,
  kitchens.getKitchenOrder,
  drones.getShipment,
];

type Connection = Pick<
  Settings,
  "FOOD_SERVICE_ADDRESS" | "FOOD_SERVICE_SECURITY" | "FOOD_SERVICE_CA" | "CALL_DEADLINE_SECONDS"
>;

export class GrpcFoodService implements FoodService {
  private readonly channel: GrpcChannel;

  constructor(settings: Connection, clock: Clock) {
    const target = {
      name: "the food service",
      address: settings.FOOD_SERVICE_ADDRESS,
      security: settings.FOOD_SERVICE_SECURITY,
      ca: settings.FOOD_SERVICE_CA,
      idempotentMethods: IDEMPOTENT_METHODS,
      timeoutMs: settings.CALL_DEADLINE_SECONDS * 1000,
    };
    this.channel = new GrpcChannel(target, clock);
  }

  ready(): Promise<void> {
    return this.channel.ready();
  }

  async listOrders(request: Parameters<FoodService["listOrders"]>[0]): ReturnType<FoodService["listOrders"]> {
    const { pageSize, pageToken } = request;
    const statusFilter = ORDER_STATUSES[request.status].code;
    const page = await this.channel.call(orders.listOrders, { statusFilter, pageSize, pageToken });
    return { orders: page.orders.map(orderOf), nextPageToken: page.nextPageToken };
  }

  async getOrder(name: string): Promise<Order> {
    const order = await this.channel.call(orders.getOrder, { name });
    return { ...orderOf(order), placedAt: timeIn(order.createTime) };
  }

  async updateOrder(...[name, status]: Parameters<FoodService["updateOrder"]>): Promise<void> {
    const order = { name, status: ORDER_STATUSES[status].code, createTime: "", updateTime: "", customerId: "" };
    await this.channel.call(orders.updateOrder, { order, updateMask: ["status"] });
  }

  async createKitchenOrder(options: CreateOptions): Promise<KitchenOrder> {
    const kitchenorder = { name: "", createTime: "", updateTime: "", status: KITCHEN_STATUSES.NEW.code };
    return kitchenOrderOf(await this.channel.call(kitchens.createKitchenOrder, { kitchenorder }, sending(options)));
  }

  async getKitchenOrder(name: string): Promise<KitchenOrder> {
    return kitchenOrderOf(await this.channel.call(kitchens.getKitchenOrder, { name }));
  }

  async createShipment(options: CreateOptions): Promise<Shipment> {
    const shipment = { name: "", createTime: "", updateTime: "", status: SHIPMENT_STATUSES.NEW.code };
    return shipmentOf(await this.channel.call(drones.createShipment, { shipment }, sending(options)));
  }

  async getShipment(name: string): Promise<Shipment> {
    return shipmentOf(await this.channel.call(drones.getShipment, { name }));
  }

  close(): void {
    this.channel.close();
  }
}

/** The time in RFC 3339 text, undefined for other text: `Date` alone takes "5" for a day in May. */
function timeIn(text: string): Date | undefined {
  const time = /^\d{4}-\d{2}-\d{2}[Tt ]/.test(text) ? new Date(text) : undefined;
  return time && Number.isFinite(time.getTime()) ? time : undefined;
}

function sending({ idempotencyKey, deadline }: CreateOptions) {
  return { deadline, metadata: { "idempotency-key": idempotencyKey } };
}

/** Without the time at which it was placed: a poll lists many, and has no use for it. */
function orderOf({ name, customerId, status }: WireOrder): Order {
  return { name, customerId, status: statusFromCode(ORDER_STATUSES, status) };
}

function kitchenOrderOf({ name, status }: WireKitchenOrder): KitchenOrder {
  return { name, status: statusFromCode(KITCHEN_STATUSES, status) };
}

function shipmentOf({ name, status }: WireShipment): Shipment {
  return { name, status: statusFromCode(SHIPMENT_STATUSES, status) };
}
