/** Whether a flight is over. */
import { type Outcome, SHIPMENT_STATUSES, type ShipmentStatus } from "../domain/order-lifecycle.js";
import { moved, nothing, type Result } from "../domain/outcome.js";

/** Decides on an order in flight by the status of its shipment. */
export function decide(shipment: ShipmentStatus): Result<Outcome> {
  const { outcome } = SHIPMENT_STATUSES[shipment];
  return outcome ? moved(outcome) : nothing(`the shipment is ${shipment}`);
}
