/** Advances a new order: creates its kitchen order and keeps the link. */

import { createOnce } from "../attempts/create-once.js";
import type { Result } from "../domain/outcome.js";
import type { Ports } from "../ports.js";
import { readUnlessDone } from "../relations/load-relation.js";
import { decide } from "./decide-kitchen.js";

/** @throws CallError, StoreError, MalformedError */
export async function sendToKitchen(name: string, id: string, ports: Ports): Promise<Result> {
  const read = await readUnlessDone(id, "kitchen", ports);
  if ("done" in read) return read.done;

  const order = await ports.food.getOrder(name);
  const decision = decide(order.status);
  if (decision.outcome !== "moved") return decision;
  return createOnce(
    {
      stage: "kitchen",
      id,
      order,
      snapshot: read.snapshot,
      create: (options) => ports.food.createKitchenOrder(options),
    },
    ports,
  );
}
