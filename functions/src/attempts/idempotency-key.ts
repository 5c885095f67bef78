/** The idempotency key of a create. */
import { v5 } from "uuid";
import type { CreatingStage } from "../domain/order-lifecycle.js";

/** The namespace of our keys; constant, so every build and every try uses the same key. */
const NAMESPACE = "5d3c5e0e-3b0c-4a47-9c49-7f1b8d0a6f52";

/** The UUID version 5 (RFC 9562) of this order and stage. */
export function idempotencyKey(order: string, stage: CreatingStage): string {
  return v5(`${order} ${stage}`, NAMESPACE);
}
