import assert from "node:assert/strict";
import { ConflictError, StoreError } from "../domain/errors.js";
import { completeOrder } from "../pipeline/complete-order.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { closingEntry } from "./history.js";

const ORDER = "orders/1";
const REF = { name: ORDER, id: "1" };
const RELATION = "relations/1";

/** An order whose shipment is delivered. */
async function deliveredBed(): Promise<TestBed> {
  const bed = testBed();
  bed.food.orders.set(ORDER, { name: ORDER, customerId: "krithik", status: "IN_FLIGHT" });
  bed.food.shipments.set("shipments/s", { name: "shipments/s", status: "DELIVERED" });
  const times = { PREPARATION: new Date(1), IN_FLIGHT: new Date(2) };
  await bed.store.set(RELATION, { schema: 1, kitchen: "k/1", shipment: "shipments/s", state: "IN_FLIGHT", times });
  return bed;
}

describe("closing a relation", () => {
  it("adds the outcome and its time, and preserves all other fields", async () => {
    const bed = await deliveredBed();
    assert.deepEqual(await completeOrder(REF, bed.ports), { outcome: "advanced", to: "DELIVERED" });
    assert.deepEqual(await bed.store.fields(RELATION), {
      schema: 1,
      kitchen: "k/1",
      shipment: "shipments/s",
      state: "DELIVERED",
      times: { PREPARATION: new Date(1), IN_FLIGHT: new Date(2), DELIVERED: new Date(bed.clock.now()) },
    });
  });

  it("is recorded in the history, in the same commit", async () => {
    const bed = await deliveredBed();
    await completeOrder(REF, bed.ports);
    const [commit = []] = bed.store.commits;
    assert.deepEqual(
      commit.map(({ path }) => path.split("/")[0]),
      ["relations", "history"],
    );
    const [entry] = bed.store.memory.all("history");
    const at = new Date(bed.clock.now());
    assert.deepEqual(entry?.fields, {
      schema: 1,
      order: ORDER,
      state: "DELIVERED",
      at,
      hour: entry?.fields.hour,
    });
    assert.match(String(entry?.fields.hour), /^2026-01-01T00 DELIVERED [0-3]$/);
  });

  it("clears the trouble that the order had", async () => {
    const bed = await deliveredBed();
    await bed.store.set(RELATION, { trouble: { activeAgain: new Date(0) } });
    await completeOrder(REF, bed.ports);
    assert.equal(await bed.store.field(RELATION, "trouble"), null);
  });

  it("fails if the second end of an order in the same state can't be stored, and succeeds when it is retried", async () => {
    const bed = await deliveredBed();
    await bed.store.memory.commit([closingEntry(ORDER, "DELIVERED", 0)]);
    bed.store.hooks.once("commit", "before", () => {
      bed.store.hooks.once("commit", "before", () => Promise.reject(new StoreError("no answer")));
    });
    await assert.rejects(completeOrder(REF, bed.ports), StoreError);
    assert.equal(await bed.store.field(RELATION, "state"), "IN_FLIGHT");
    assert.deepEqual(await completeOrder(REF, bed.ports), { outcome: "advanced", to: "DELIVERED" });
    assert.equal(bed.store.memory.all("history").length, 2, "each end has its entry");
  });

  it("recognizes its own write if the commit was applied and answered with a conflict", async () => {
    const bed = await deliveredBed();
    bed.store.hooks.once("commit", "after", () => {
      throw new ConflictError("changed");
    });
    assert.deepEqual(await completeOrder(REF, bed.ports), { outcome: "advanced", to: "DELIVERED" });
  });

  it("never overwrites a concurrent change, but retries", async () => {
    const bed = await deliveredBed();
    bed.store.hooks.once("commit", "before", () => bed.store.set(RELATION, { customerId: "krithik" }));
    await assert.rejects(completeOrder(REF, bed.ports), ConflictError);
    assert.deepEqual(await completeOrder(REF, bed.ports), { outcome: "advanced", to: "DELIVERED" });
    assert.equal(await bed.store.field(RELATION, "customerId"), "krithik");
  });

  it("leaves the state that the sweep set concurrently", async () => {
    const bed = await deliveredBed();
    bed.store.hooks.once("commit", "before", () => bed.store.set(RELATION, { state: "CANCELLED" }));
    await assert.rejects(completeOrder(REF, bed.ports), ConflictError);
    await completeOrder(REF, bed.ports);
    assert.equal(await bed.store.field(RELATION, "state"), "CANCELLED");
  });

  it("is retried if the store was unavailable, and closes once", async () => {
    const bed = await deliveredBed();
    bed.store.hooks.once("commit", "after", () => {
      throw new StoreError("no answer");
    });
    await assert.rejects(completeOrder(REF, bed.ports), StoreError);
    await completeOrder(REF, bed.ports);
    assert.equal(bed.store.commits.length, 1, "the commit that was applied is the only one");
    assert.equal(await bed.store.field(RELATION, "state"), "DELIVERED");
  });
});
