/** The food service over gRPC: one channel an instance, a deadline on every call, retries for what may be repeated. */
import {
  type ChannelCredentials,
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { CallError } from "../errors.js";
import {
  DroneServiceService as drones,
  type KitchenOrder as WireKitchenOrder,
  KitchenServiceService as kitchens,
  type Order as WireOrder,
  OrderServiceService as orders,
  type Shipment as WireShipment,
} from "../generated/food/v1/food.js";
import { KITCHEN_STATUSES, ORDER_STATUSES, SHIPMENT_STATUSES, statusOf } from "../life-cycle.js";
import type { Clock, CreateOptions, FoodService, KitchenOrder, Order, Shipment } from "../ports.js";
import type { Settings } from "../settings.js";

/** Reads and updates may be repeated; a create that was sent must not be, whatever became of it. */
const REPEATABLE = [
  orders.getOrder,
  orders.listOrders,
  orders.updateOrder,
  kitchens.getKitchenOrder,
  drones.getShipment,
];

const SERVICE_CONFIG = {
  loadBalancingConfig: [{ pick_first: {} }],
  methodConfig: [
    {
      name: REPEATABLE.map(({ path }) => {
        const [, service, method] = path.split("/");
        return { service, method };
      }),
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: "0.1s",
        maxBackoff: "1s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
};

/** No keepalive pings: an instance is frozen between requests, and its pings with it. */
const CHANNEL_OPTIONS = {
  "grpc.service_config": JSON.stringify(SERVICE_CONFIG),
  "grpc.initial_reconnect_backoff_ms": 200,
  "grpc.max_reconnect_backoff_ms": 5_000,
};

export class GrpcFoodService implements FoodService {
  private readonly client: Client;
  private readonly deadline: number;

  constructor(
    settings: Pick<
      Settings,
      "FOOD_SERVICE_ADDRESS" | "FOOD_SERVICE_SECURITY" | "FOOD_SERVICE_CA" | "CALL_DEADLINE_SECONDS"
    >,
    private readonly clock: Clock,
  ) {
    this.client = new Client(settings.FOOD_SERVICE_ADDRESS, channelCredentials(settings), CHANNEL_OPTIONS);
    this.deadline = settings.CALL_DEADLINE_SECONDS * 1000;
  }

  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.client.waitForReady(this.clock.now() + this.deadline, (error) => {
        if (!error) return resolve();
        const target = this.client.getChannel().getTarget();
        reject(new CallError("UNAVAILABLE", `the food service at ${target} can't be reached`, false, { cause: error }));
      });
    });
  }

  async listOrders(request: Parameters<FoodService["listOrders"]>[0]): ReturnType<FoodService["listOrders"]> {
    const { pageSize, pageToken } = request;
    const statusFilter = ORDER_STATUSES[request.status].code;
    const page = await this.call(orders.listOrders, { statusFilter, pageSize, pageToken });
    return { orders: page.orders.map(orderOf), nextPageToken: page.nextPageToken };
  }

  async getOrder(name: string): Promise<Order> {
    return orderOf(await this.call(orders.getOrder, { name }));
  }

  async updateOrder(...[name, status]: Parameters<FoodService["updateOrder"]>): Promise<void> {
    const order = { name, status: ORDER_STATUSES[status].code, createTime: "", updateTime: "", customerId: "" };
    await this.call(orders.updateOrder, { order, updateMask: ["status"] });
  }

  createKitchenOrder = async (options: CreateOptions): Promise<KitchenOrder> => {
    const kitchenorder = { name: "", createTime: "", updateTime: "", status: KITCHEN_STATUSES.NEW.code };
    return kitchenOrderOf(await this.call(kitchens.createKitchenOrder, { kitchenorder }, options));
  };

  async getKitchenOrder(name: string): Promise<KitchenOrder> {
    return kitchenOrderOf(await this.call(kitchens.getKitchenOrder, { name }));
  }

  createShipment = async (options: CreateOptions): Promise<Shipment> => {
    const shipment = { name: "", createTime: "", updateTime: "", status: SHIPMENT_STATUSES.NEW.code };
    return shipmentOf(await this.call(drones.createShipment, { shipment }, options));
  };

  async getShipment(name: string): Promise<Shipment> {
    return shipmentOf(await this.call(drones.getShipment, { name }));
  }

  close(): void {
    this.client.close();
  }

  private call<Q, R>(method: MethodDefinition<Q, R>, request: Q, create?: CreateOptions): Promise<R> {
    const now = this.clock.now();
    const deadline = create?.deadline ?? now + this.deadline;
    if (deadline <= now) {
      const message = `${method.path} was not sent: its time was over before it began`;
      return Promise.reject(new CallError("DEADLINE_EXCEEDED", message, false));
    }
    const metadata = new Metadata();
    if (create) metadata.set("idempotency-key", create.idempotencyKey);
    return new Promise((resolve, reject) => {
      const call = this.client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadata,
        { deadline },
        (error, response) => {
          if (response !== undefined && !error) return resolve(response);
          // Until a call is given to a connection its peer is the channel's own target.
          const sent = call.getPeer() !== this.client.getChannel().getTarget();
          reject(callError(method.path, error, sent));
        },
      );
    });
  }
}

function channelCredentials({
  FOOD_SERVICE_SECURITY: security,
  FOOD_SERVICE_CA: ca,
}: Pick<Settings, "FOOD_SERVICE_SECURITY" | "FOOD_SERVICE_CA">): ChannelCredentials {
  if (security === "plaintext") return credentials.createInsecure();
  return credentials.createSsl(ca.trim() === "system" ? null : Buffer.from(ca));
}

function callError(path: string, error: ServiceError | null, sent: boolean): CallError {
  if (!error) return new CallError("INTERNAL", `${path} was answered with nothing`, sent);
  return new CallError(status[error.code] ?? String(error.code), `${path}: ${error.details}`, sent, { cause: error });
}

function orderOf({ name, customerId, status }: WireOrder): Order {
  return { name, customerId, status: statusOf(ORDER_STATUSES, status) };
}

function kitchenOrderOf({ name, status }: WireKitchenOrder): KitchenOrder {
  return { name, status: statusOf(KITCHEN_STATUSES, status) };
}

function shipmentOf({ name, status }: WireShipment): Shipment {
  return { name, status: statusOf(SHIPMENT_STATUSES, status) };
}
