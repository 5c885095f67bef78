import assert from "node:assert/strict";
import { ConflictError, ValidationError } from "../domain/errors.js";
import type { Fields } from "../ports.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { adoptLinks } from "./adopt-links.js";
import { linkEntry } from "./history.js";
import { loadOrReconcile } from "./load-relation.js";

const REF = { name: "orders/1", id: "1" };
const PATH = "relations/1";

async function bedWith(relation?: Fields): Promise<TestBed> {
  const bed = testBed();
  bed.food.orders.set(REF.name, { name: REF.name, customerId: "ada", status: "NEW" });
  if (relation) await bed.store.set(PATH, relation);
  return bed;
}

const PREPARED = { schema: 1, state: "PREPARATION", kitchen: "kitchenorders/1" };

describe("a stage that loads a relation", () => {
  it("finds none for a new order", async () => {
    const bed = await bedWith();
    const loaded = await loadOrReconcile(REF, "kitchen", bed.ports);
    assert.deepEqual(loaded, { kind: "loaded", snapshot: undefined, relation: undefined });
  });

  it("loads an empty one, and one without the link that it would make, as they are", async () => {
    for (const [fields, link] of [
      [{ note: "x" }, "kitchen"],
      [PREPARED, "shipment"],
      [PREPARED, undefined],
    ] as const) {
      const bed = await bedWith(fields);
      const loaded = await loadOrReconcile(REF, link, bed.ports);
      assert.equal(loaded.kind, "loaded");
      assert.deepEqual(bed.store.commits, []);
      assert.deepEqual(bed.food.updates, []);
    }
  });

  it("reports it instead if it has the link already, or has ended", async () => {
    const ended = { ...PREPARED, state: "DELIVERED", shipment: "shipments/1" };
    for (const [fields, link, status] of [
      [PREPARED, "kitchen", "PREPARATION"],
      [ended, undefined, "DELIVERED"],
    ] as const) {
      const bed = await bedWith(fields);
      const loaded = await loadOrReconcile(REF, link, bed.ports);
      assert.equal(loaded.kind, "reconciled");
      assert.deepEqual(bed.food.updates, [{ name: REF.name, status }]);
    }
  });

  it("looks whether the order came back if it was cancelled or is gone", async () => {
    const bed = await bedWith({ ...PREPARED, state: "GONE" });
    const loaded = await loadOrReconcile(REF, "kitchen", bed.ports);
    assert.deepEqual(loaded, { kind: "reconciled", outcome: { outcome: "advanced", to: "PREPARATION" } });
    assert.deepEqual(bed.food.updates, [], "the event of that write reports");
  });

  it("adopts first what another program linked", async () => {
    const bed = await bedWith({ kitchen: "kitchenorders/1" });
    const loaded = await loadOrReconcile(REF, "shipment", bed.ports);
    assert.equal(await bed.store.field(PATH, "state"), "PREPARATION");
    assert.deepEqual(loaded.kind === "loaded" && [loaded.snapshot], await bed.store.read(PATH));
    assert.equal(loaded.kind === "loaded" && loaded.relation?.state, "PREPARATION");
  });
});

describe("adopting links", () => {
  async function adopt(bed: TestBed) {
    const [snapshot] = await bed.store.memory.read(PATH);
    assert.ok(snapshot);
    return adoptLinks(snapshot, bed.ports);
  }

  it("gives the relation its state and each link its entry, in one commit", async () => {
    const bed = await bedWith({ kitchen: "kitchenorders/1", shipment: "shipments/1" });
    const { snapshot, relation } = await adopt(bed);
    const now = new Date(bed.clock.now());
    assert.deepEqual([snapshot], await bed.store.read(PATH));
    assert.deepEqual([relation.kitchen, relation.shipment], ["kitchenorders/1", "shipments/1"]);
    const { state, times } = snapshot.fields;
    assert.deepEqual({ state, times }, { state: "IN_FLIGHT", times: { IN_FLIGHT: now } });
    assert.equal(bed.store.commits.length, 1);
    const entries = bed.store.memory
      .all("history")
      .map(({ fields }) => [fields.state, fields.order, fields.claim, fields.at]);
    assert.deepEqual(entries.sort(), [
      ["IN_FLIGHT", REF.name, undefined, now],
      ["PREPARATION", REF.name, undefined, now],
    ]);
  });

  it("does nothing for a relation without links", async () => {
    const bed = await bedWith({ note: "x" });
    const { relation } = await adopt(bed);
    assert.equal(relation.state, undefined);
    assert.deepEqual(bed.store.commits, []);
  });

  it("makes no second entry of its own link, and none of another order's", async () => {
    const bed = await bedWith({ kitchen: "kitchenorders/1" });
    await bed.store.memory.commit([linkEntry(REF.name, "kitchen", "kitchenorders/1", 5)]);
    await adopt(bed);
    assert.equal(bed.store.writes.length, 1);
    const other = await bedWith({ kitchen: "kitchenorders/2" });
    await other.store.memory.commit([linkEntry("orders/2", "kitchen", "kitchenorders/2", 5)]);
    await assert.rejects(adopt(other), (error: Error) => {
      assert.ok(error instanceof ValidationError);
      assert.match(error.message, /relations\/1.*kitchenorders\/2.*orders\/2/);
      return true;
    });
    assert.equal(await other.store.field(PATH, "state"), undefined);
  });

  it("is a conflict if the relation changed since it was read", async () => {
    const bed = await bedWith({ kitchen: "kitchenorders/1" });
    bed.store.hooks.once("commit", "before", () => bed.store.set(PATH, { note: "x" }));
    await assert.rejects(adopt(bed), ConflictError);
  });
});
