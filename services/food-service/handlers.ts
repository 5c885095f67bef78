/** The three gRPC services on top of the model: they validate requests and encode replies. */
import { type handleUnaryCall, type Metadata, type ServerErrorResponse, status } from "@grpc/grpc-js";
import { callError, isCallError } from "../../functions/src/domain/errors.js";
import {
  KITCHEN_STATUSES,
  ORDER_STATUSES,
  type OrderStatus,
  SHIPMENT_STATUSES,
  statusFromCode,
} from "../../functions/src/domain/order-lifecycle.js";
import type {
  CreateKitchenOrderRequest,
  CreateOrderRequest,
  CreateShipmentRequest,
  DroneServiceService,
  GetKitchenOrderRequest,
  GetOrderRequest,
  GetShipmentRequest,
  KitchenOrder,
  KitchenServiceService,
  ListOrdersRequest,
  ListOrdersResponse,
  Order,
  OrderServiceService,
  Shipment,
  UpdateOrderRequest,
} from "../../functions/src/generated/food/v1/food.js";
import type { FoodServiceModel, KitchenOrderRecord, OrderRecord, ShipmentRecord } from "./model/food-service-model.js";

/** Runs a call of a method, such as GetOrder, or injects a fault. */
type Carrier = <T>(apply: () => Promise<T>, method: string) => Promise<T>;

/** The handlers of each service. `carry` runs every call except placing an order, which gets no faults. */
export function handlersOf(model: FoodServiceModel, carry: Carrier, log: (line: string) => void) {
  function unary<Request, Response>(
    answer: (request: Request, metadata: Metadata) => Promise<Response>,
    by: Carrier = carry,
  ): handleUnaryCall<Request, Response> {
    return (call, callback) => {
      const method = call.getPath().split("/").at(-1) ?? "";
      by(() => answer(call.request, call.metadata), method).then(
        (response) => callback(null, response),
        (error: unknown) => callback(failureOf(error, log)),
      );
    };
  }

  return {
    orders: {
      createOrder: unary<CreateOrderRequest, Order>(
        async ({ order }) => orderMessage(model.placeOrder(given(order, "order").customerId)),
        (apply) => apply(),
      ),
      getOrder: unary<GetOrderRequest, Order>(async ({ name }) => orderMessage(await model.getOrder(name))),
      listOrders: unary<ListOrdersRequest, ListOrdersResponse>(async ({ statusFilter, pageSize, pageToken }) => {
        const status = orderStatus(statusFilter, "status_filter");
        const { orders, nextPageToken } = await model.listOrders({ status, pageSize, pageToken });
        return { orders: orders.map(orderMessage), nextPageToken };
      }),
      updateOrder: unary<UpdateOrderRequest, Order>(async ({ order, updateMask }) => {
        const { name, status } = given(order, "order");
        return orderMessage(model.changeOrder(name, orderStatus(status, "order.status"), updateMask ?? []));
      }),
    } satisfies Record<keyof OrderServiceService, unknown>,

    kitchen: {
      createKitchenOrder: unary<CreateKitchenOrderRequest, KitchenOrder>(async ({ kitchenorder }, metadata) => {
        given(kitchenorder, "kitchenorder");
        return kitchenMessage(model.makeKitchenOrder(keyIn(metadata)));
      }),
      getKitchenOrder: unary<GetKitchenOrderRequest, KitchenOrder>(async ({ name }) =>
        kitchenMessage(await model.getKitchenOrder(name)),
      ),
    } satisfies Record<keyof KitchenServiceService, unknown>,

    drones: {
      createShipment: unary<CreateShipmentRequest, Shipment>(async ({ shipment }, metadata) => {
        given(shipment, "shipment");
        return shipmentMessage(model.makeShipment(keyIn(metadata)));
      }),
      getShipment: unary<GetShipmentRequest, Shipment>(async ({ name }) =>
        shipmentMessage(await model.getShipment(name)),
      ),
    } satisfies Record<keyof DroneServiceService, unknown>,
  };
}

function given<T>(value: T | undefined, field: string): T {
  if (value === undefined) throw callError("INVALID_ARGUMENT", `${field} is missing`, true);
  return value;
}

/** The status with this number. An unknown number must not become UNKNOWN, which would list everything. */
function orderStatus(code: number, field: string): OrderStatus {
  const known = statusFromCode<OrderStatus>(ORDER_STATUSES, code);
  if (ORDER_STATUSES[known].code === code) return known;
  throw callError("INVALID_ARGUMENT", `${field} is ${code}, which is not an order status`, true);
}

function keyIn(metadata: Metadata): string | null {
  return metadata.get("idempotency-key")[0]?.toString() || null;
}

function failureOf(error: unknown, log: (line: string) => void): Partial<ServerErrorResponse> {
  if (isCallError(error)) {
    return { code: status[error.code as keyof typeof status] ?? status.UNKNOWN, details: error.message };
  }
  log(`a call failed: ${error instanceof Error ? error.stack : String(error)}`);
  return { code: status.INTERNAL, details: "the food service failed; its log says why" };
}

function orderMessage(order: OrderRecord): Order {
  const { name, customerId, status } = order;
  return { name, customerId, status: ORDER_STATUSES[status].code, ...times(order) };
}

function kitchenMessage(order: KitchenOrderRecord): KitchenOrder {
  return { name: order.name, status: KITCHEN_STATUSES[order.status].code, ...times(order) };
}

function shipmentMessage(shipment: ShipmentRecord): Shipment {
  return { name: shipment.name, status: SHIPMENT_STATUSES[shipment.status].code, ...times(shipment) };
}

/** In RFC 3339. */
function times({ createdAt, updatedAt }: { createdAt: number; updatedAt: number }) {
  return { createTime: new Date(createdAt).toISOString(), updateTime: new Date(updatedAt).toISOString() };
}
