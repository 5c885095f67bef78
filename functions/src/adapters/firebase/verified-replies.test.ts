import assert from "node:assert/strict";
import { isCallError, TerminalError } from "../../domain/errors.js";
import { testBed } from "../../testing/test-bed.js";
import { withCheckedReplies } from "./verified-replies.js";

const ORDER = { name: "orders/1", customerId: "krithik", status: "NEW" } as const;

describe("verified replies", () => {
  const reads = {
    "an order": (food: ReturnType<typeof withCheckedReplies>, name: string) => food.getOrder(name),
    "a kitchen order": (food: ReturnType<typeof withCheckedReplies>, name: string) => food.getKitchenOrder(name),
    "a shipment": (food: ReturnType<typeof withCheckedReplies>, name: string) => food.getShipment(name),
  };
  for (const [title, read] of Object.entries(reads)) {
    for (const answered of ["", "orders/2", "orders/1 "]) {
      it(`reject a reply named ${JSON.stringify(answered)} to a request for ${title}`, async () => {
        const { food } = testBed();
        const reply = { ...ORDER, name: answered };
        food.orders.set("orders/1", reply);
        food.kitchenOrders.set("orders/1", reply);
        food.shipments.set("orders/1", { name: answered, status: "NEW" });
        await assert.rejects(read(withCheckedReplies(food), "orders/1"), (error: unknown) => {
          assert.ok(isCallError(error));
          assert.deepEqual([error.code, error.sent, error instanceof TerminalError], ["BAD_REPLY", true, false]);
          assert.equal(error.message, `asked for orders/1, the food service answered with ${answered || "no name"}`);
          return true;
        });
      });
    }
  }

  it("pass on every other reply and failure unchanged", async () => {
    const { food } = testBed();
    food.orders.set(ORDER.name, { ...ORDER });
    food.kitchenOrders.set("kitchenorders/9", { name: "kitchenorders/9", status: "PACKAGED" });
    food.shipments.set("shipments/9", { name: "shipments/9", status: "COLLECTED" });
    const checked = withCheckedReplies(food);
    assert.deepEqual(await checked.getOrder(ORDER.name), ORDER);
    assert.deepEqual(await checked.listOrders({ status: "NEW", pageSize: 1, pageToken: "" }), {
      orders: [ORDER],
      nextPageToken: "",
    });
    await checked.updateOrder(ORDER.name, "PREPARATION");
    assert.deepEqual(food.updates, [{ name: ORDER.name, status: "PREPARATION" }]);
    assert.equal((await checked.getKitchenOrder("kitchenorders/9")).status, "PACKAGED");
    assert.equal((await checked.getShipment("shipments/9")).status, "COLLECTED");
    const options = { idempotencyKey: "k", deadline: Number.POSITIVE_INFINITY };
    assert.equal((await checked.createKitchenOrder(options)).name, "kitchenorders/1");
    assert.equal((await checked.createShipment(options)).name, "shipments/2");
    await assert.rejects(checked.getShipment("shipments/none"), { code: "NOT_FOUND" });
    await checked.ready();
  });
});
