/** How the food service creates and finds what each stage creates. */
import type { CreatingStage } from "../domain/order-lifecycle.js";
import type { CreateOptions, FoodService } from "../ports.js";

export const RESOURCES = {
  kitchen: {
    create: (food: FoodService, options: CreateOptions) => food.createKitchenOrder(options),
    get: (food: FoodService, name: string) => food.getKitchenOrder(name),
  },
  shipment: {
    create: (food: FoodService, options: CreateOptions) => food.createShipment(options),
    get: (food: FoodService, name: string) => food.getShipment(name),
  },
} as const satisfies Record<CreatingStage, object>;

/** What the food service answers about what this stage creates. */
export type Resource<S extends CreatingStage> = Awaited<ReturnType<(typeof RESOURCES)[S]["get"]>>;
