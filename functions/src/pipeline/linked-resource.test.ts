/** Kitchen orders and shipments that the food service loses. */
import assert from "node:assert/strict";
import { resolveAttempt } from "../attempts/resolve-attempt.js";
import { callError } from "../domain/errors.js";
import type { CreatingStage } from "../domain/order-lifecycle.js";
import type { Fields } from "../ports.js";
import { sweep } from "../relations/sweep.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { handleOrderMessage } from "./handlers.js";

const MINUTE_MS = 60_000;
const DECISION = { order: "orders/1", by: "ana", reason: "asked the kitchen" } as const;

/** An order whose kitchen order or shipment the food service has lost. */
async function bedWithout(stage: CreatingStage): Promise<TestBed> {
  const bed = testBed();
  const isKitchen = stage === "kitchen";
  const status = isKitchen ? "PREPARATION" : "IN_FLIGHT";
  bed.food.orders.set("orders/1", { name: "orders/1", customerId: "krithik", status });
  const links = { kitchen: "kitchenorders/lost", ...(!isKitchen && { shipment: "shipments/lost" }) };
  if (!isKitchen) bed.food.kitchenOrders.set(links.kitchen, { name: links.kitchen, status: "PACKAGED" });
  await bed.store.set("relations/1", { schema: 1, state: status, ...links });
  return bed;
}

const deliver = (bed: TestBed, stage: CreatingStage) =>
  stage === "kitchen"
    ? handleOrderMessage("shipment", { order: "orders/1", status: "PREPARATION" }, bed.ports)
    : handleOrderMessage("completion", { order: "orders/1", status: "IN_FLIGHT" }, bed.ports);

async function deliverFor(bed: TestBed, stage: CreatingStage, minutes: number): Promise<void> {
  for (let passed = 0; passed < minutes; passed++) {
    await deliver(bed, stage);
    bed.clock.advance(MINUTE_MS);
  }
}

const codeOf = async (bed: TestBed, stage: CreatingStage) =>
  ((await bed.store.field(`attempts/${stage}:1`, "reason")) as Fields | undefined)?.code;

for (const stage of ["kitchen", "shipment"] as const) {
  const lost = stage === "kitchen" ? "kitchenorders/lost" : "shipments/lost";

  /** Puts what was lost back. */
  const putBack = (bed: TestBed) =>
    stage === "kitchen"
      ? bed.food.kitchenOrders.set(lost, { name: lost, status: "NEW" })
      : bed.food.shipments.set(lost, { name: lost, status: "NEW" });

  describe(`a linked ${stage} order that the food service does not find`, () => {
    it("needs an operator after several lookups over MISSING_AFTER_MINUTES, with three writes and no second create", async () => {
      const bed = await bedWithout(stage);
      await deliverFor(bed, stage, 60);
      assert.equal(await codeOf(bed, stage), undefined, "not before");
      await deliverFor(bed, stage, 60);
      assert.equal(await codeOf(bed, stage), "LINK_NOT_FOUND");
      assert.deepEqual(bed.food.created, []);
      const looks = bed.store.writes.filter(({ path }) => path === "relations/1");
      assert.equal(looks.length, 3);
      assert.equal(bed.lines.filter(({ level }) => level === "error").length, 0, "not an error at each tick");
    });

    for (const code of ["INVALID_ARGUMENT", "BAD_REPLY"]) {
      it(`needs an operator too if each lookup fails with ${code}`, async () => {
        const bed = await bedWithout(stage);
        const fail = async () => {
          throw callError(code, "no", true);
        };
        Object.assign(bed.food, { getKitchenOrder: fail, getShipment: fail });
        await deliverFor(bed, stage, 90);
        assert.equal(await codeOf(bed, stage), "LINK_NOT_FOUND");
      });
    }

    it("continues if it is found again, and its parked attempt resolves itself", async () => {
      const bed = await bedWithout(stage);
      await deliverFor(bed, stage, 90);
      putBack(bed);
      await deliver(bed, stage);
      await sweep(bed.ports);
      assert.equal(await bed.store.field(`attempts/${stage}:1`, "state"), "CLOSED");
      assert.equal(await bed.store.field("relations/1", "trouble"), null);
    });

    it("can be replaced by an operator's link, or linked again when it is found", async () => {
      for (const isSame of [false, true]) {
        const bed = await bedWithout(stage);
        await deliverFor(bed, stage, 90);
        const link = isSame ? lost : `${lost}-2`;
        await assert.rejects(resolveAttempt({ ...DECISION, stage, link }, bed.ports), { code: "NOT_FOUND" });
        bed.food.kitchenOrders.set(link, { name: link, status: "PACKAGED" });
        bed.food.shipments.set(link, { name: link, status: "NEW" });
        const result = await resolveAttempt({ ...DECISION, stage, link }, bed.ports);
        assert.equal(result.outcome, "advanced");
        assert.equal(await bed.store.field("relations/1", stage), link);
        assert.equal(await bed.store.fields(`attempts/${stage}:1`), undefined);
      }
    });

    it("is created again if an operator retries, and the new one is linked", async () => {
      const bed = await bedWithout(stage);
      await deliverFor(bed, stage, 90);
      await resolveAttempt({ ...DECISION, stage }, bed.ports);
      await deliverFor(bed, stage, 5);
      assert.deepEqual(
        bed.food.created.map((made) => made.stage),
        [stage],
      );
      assert.match(String(await bed.store.field("relations/1", stage)), /\/1$/);
      assert.equal(await bed.store.field("relations/1", "state"), stage === "kitchen" ? "PREPARATION" : "IN_FLIGHT");
      assert.equal(await bed.store.field("relations/1", "discarded"), null);
    });

    it("is not created again if the order was cancelled after the operator's retry", async () => {
      const bed = await bedWithout(stage);
      await deliverFor(bed, stage, 90);
      await resolveAttempt({ ...DECISION, stage }, bed.ports);
      bed.food.orders.set("orders/1", { name: "orders/1", customerId: "krithik", status: "CANCELLED" });
      await deliverFor(bed, stage, 5);
      await sweep(bed.ports);
      assert.deepEqual(bed.food.created, []);
      assert.equal(await bed.store.field("relations/1", "state"), "CANCELLED");
      assert.equal(await bed.store.field(`attempts/${stage}:1`, "state"), "CLOSED");
    });

    it("stays dismissed if an operator dismisses it", async () => {
      const bed = await bedWithout(stage);
      await deliverFor(bed, stage, 90);
      await resolveAttempt({ ...DECISION, stage, dismiss: true }, bed.ports);
      await deliverFor(bed, stage, 90);
      await sweep(bed.ports);
      assert.equal(await bed.store.field(`attempts/${stage}:1`, "state"), "CLOSED");
      assert.deepEqual(bed.food.created, []);
    });
  });
}

describe("a shipment that is lost together with its meal", () => {
  it("is not created again before the meal is, once an operator retries both", async () => {
    const bed = await bedWithout("shipment");
    bed.food.kitchenOrders.clear();
    await deliverFor(bed, "shipment", 90);
    await resolveAttempt({ ...DECISION, stage: "shipment" }, bed.ports);
    await deliverFor(bed, "shipment", 90);
    assert.equal(await codeOf(bed, "kitchen"), "LINK_NOT_FOUND");
    await resolveAttempt({ ...DECISION, stage: "kitchen" }, bed.ports);
    await deliverFor(bed, "shipment", 5);
    const created = () => bed.food.created.map(({ stage }) => stage);
    assert.deepEqual(created(), ["kitchen"]);

    const meal = String(await bed.store.field("relations/1", "kitchen"));
    bed.food.kitchenOrders.set(meal, { name: meal, status: "PACKAGED" });
    await deliverFor(bed, "shipment", 5);
    assert.deepEqual(created(), ["kitchen", "shipment"]);
  });
});
