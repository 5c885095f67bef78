/** The create and the lookup of each stage's resource, and whether an order has to wait for it. */
import { type CreatingStage, KITCHEN_STATUSES, SHIPMENT_STATUSES } from "../domain/order-lifecycle.js";
import type { CreateOptions, FoodService, KitchenOrder, Shipment } from "../ports.js";

export const RESOURCES = {
  kitchen: {
    create: (food: FoodService, options: CreateOptions) => food.createKitchenOrder(options),
    get: (food: FoodService, name: string) => food.getKitchenOrder(name),
    isAwaited: ({ status }: KitchenOrder) => !KITCHEN_STATUSES[status].packaged,
  },
  shipment: {
    create: (food: FoodService, options: CreateOptions) => food.createShipment(options),
    get: (food: FoodService, name: string) => food.getShipment(name),
    isAwaited: ({ status }: Shipment) => SHIPMENT_STATUSES[status].outcome === undefined,
  },
} as const satisfies Record<CreatingStage, object>;

/** Looks up a resource of this stage. */
export type Resource<S extends CreatingStage> = Awaited<ReturnType<(typeof RESOURCES)[S]["get"]>>;
