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
import { googleIdTokens } from "./google-id-token.js";
import { GrpcChannel, type Target } from "./grpc-channel.js";
import { fixedToken, type TokenSource } from "./grpc-credentials.js";

/** Reads and updates may be retried. A create that was sent must not be retried, whatever its outcome. */
const IDEMPOTENT_METHODS = [
  orders.getOrder,
  orders.listOrders,
  orders.updateOrder,
  kitchens.getKitchenOrder,
  drones.getShipment,
];

/** The settings of the connection: the address, the trusted certificates, and the credentials that authenticate us, if any. */
export type FoodServiceConnection = Pick<
  Settings,
  "FOOD_SERVICE_ADDRESS" | "FOOD_SERVICE_SECURITY" | "FOOD_SERVICE_CA" | "CALL_DEADLINE_SECONDS"
> &
  Partial<
    Pick<
      Settings,
      | "FOOD_SERVICE_AUTH"
      | "FOOD_SERVICE_TOKEN"
      | "FOOD_SERVICE_AUDIENCE"
      | "FOOD_SERVICE_CLIENT_AUTH"
      | "FOOD_SERVICE_CLIENT_CERTIFICATE"
      | "FOOD_SERVICE_CLIENT_KEY"
    >
  >;

export class GrpcFoodService implements FoodService {
  private readonly channel: GrpcChannel;

  /** @param options the settings for trust and client certificate that error messages name; params by default */
  constructor(settings: FoodServiceConnection, clock: Clock, options?: Target["options"]) {
    this.channel = foodServiceChannel(settings, clock, options);
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
    return orderOf(await this.channel.call(orders.getOrder, { name }));
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

/** A channel to the food service, for programs outside the functions. */
export function foodServiceChannel(
  settings: FoodServiceConnection,
  clock: Clock,
  options?: Target["options"],
): GrpcChannel {
  return new GrpcChannel({ ...targetOf(settings, clock), ...(options && { options }) }, clock);
}

function targetOf(settings: FoodServiceConnection, clock: Clock): Target {
  const { FOOD_SERVICE_CLIENT_AUTH, FOOD_SERVICE_CLIENT_CERTIFICATE, FOOD_SERVICE_CLIENT_KEY } = settings;
  const hasClient =
    FOOD_SERVICE_CLIENT_AUTH === "certificate" && FOOD_SERVICE_CLIENT_CERTIFICATE && FOOD_SERVICE_CLIENT_KEY;
  return {
    name: "the food service",
    address: settings.FOOD_SERVICE_ADDRESS,
    security: settings.FOOD_SERVICE_SECURITY,
    trust: settings.FOOD_SERVICE_CA,
    client: hasClient ? { certificates: FOOD_SERVICE_CLIENT_CERTIFICATE, key: FOOD_SERVICE_CLIENT_KEY } : undefined,
    token: tokenOf(settings, clock),
    idempotentMethods: IDEMPOTENT_METHODS,
    timeoutMs: settings.CALL_DEADLINE_SECONDS * 1000,
  };
}

function tokenOf(settings: FoodServiceConnection, clock: Clock): TokenSource | undefined {
  const { FOOD_SERVICE_AUTH, FOOD_SERVICE_TOKEN = "", FOOD_SERVICE_AUDIENCE = "none" } = settings;
  if (FOOD_SERVICE_AUTH === "google-id-token") return googleIdTokens(FOOD_SERVICE_AUDIENCE, clock);
  return FOOD_SERVICE_AUTH === "bearer-token" ? fixedToken(FOOD_SERVICE_TOKEN) : undefined;
}

function sending({ idempotencyKey, deadline }: CreateOptions) {
  return { deadline, metadata: { "idempotency-key": idempotencyKey } };
}

function orderOf({ name, customerId, status, createTime }: WireOrder): Order {
  return { name, customerId, status: statusFromCode(ORDER_STATUSES, status), placedAt: timeIn(createTime) };
}

/** The time in RFC 3339 text; undefined for other text. `Date` alone would read "5" as a day in May. */
function timeIn(text: string): Date | undefined {
  const time = /^\d{4}-\d{2}-\d{2}[Tt ]/.test(text) ? new Date(text) : undefined;
  return time && Number.isFinite(time.getTime()) ? time : undefined;
}

function kitchenOrderOf({ name, status }: WireKitchenOrder): KitchenOrder {
  return { name, status: statusFromCode(KITCHEN_STATUSES, status) };
}

function shipmentOf({ name, status }: WireShipment): Shipment {
  return { name, status: statusFromCode(SHIPMENT_STATUSES, status) };
}
