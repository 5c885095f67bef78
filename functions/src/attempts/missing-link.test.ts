import assert from "node:assert/strict";
import type { OrderStatus } from "../domain/order-lifecycle.js";
import { completeOrder } from "../pipeline/complete-order.js";
import { dispatchShipment } from "../pipeline/dispatch-shipment.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { resolveAttempt } from "./resolve-attempt.js";

const ORDER = "orders/1";
const REF = { name: ORDER, id: "1" };
const DECISION = { order: ORDER, by: "ada@example.com", reason: "asked the kitchen" };

function place(bed: TestBed, status: OrderStatus): void {
  bed.food.orders.set(ORDER, { name: ORDER, customerId: "krithik", status });
}

describe("an order that another program advanced without a link", () => {
  it("continues in PREPARATION once its kitchen order is linked", async () => {
    const bed = testBed();
    place(bed, "PREPARATION");
    await dispatchShipment(REF, bed.ports);
    bed.food.kitchenOrders.set("kitchenorders/k", { name: "kitchenorders/k", status: "PACKAGED" });
    await resolveAttempt({ ...DECISION, stage: "kitchen", link: "kitchenorders/k" }, bed.ports);
    assert.equal((await dispatchShipment(REF, bed.ports)).outcome, "advanced");
  });

  it("continues in IN_FLIGHT once its shipment is linked", async () => {
    const bed = testBed();
    place(bed, "IN_FLIGHT");
    await completeOrder(REF, bed.ports);
    bed.food.shipments.set("shipments/s", { name: "shipments/s", status: "DELIVERED" });
    await resolveAttempt({ ...DECISION, stage: "shipment", link: "shipments/s" }, bed.ports);
    assert.deepEqual(await completeOrder(REF, bed.ports), { outcome: "advanced", to: "DELIVERED" });
  });

  it("gets no second drone in IN_FLIGHT if an operator tries to retry the create", async () => {
    const bed = testBed();
    place(bed, "IN_FLIGHT");
    await completeOrder(REF, bed.ports);
    await resolveAttempt({ ...DECISION, stage: "shipment" }, bed.ports);
    await completeOrder(REF, bed.ports);
    assert.notEqual(await bed.store.field("attempts/shipment:1", "state"), "FAILED", "it is closed");
  });
});
