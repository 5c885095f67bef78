/** Documents of the first build stay readable, and its orders continue: none is lost, none is cooked or flown twice. */
import assert from "node:assert/strict";
import { attemptIn } from "../../functions/src/attempts/attempt.js";
import { auditEntryIn } from "../../functions/src/attempts/audit.js";
import { resolveAttempt } from "../../functions/src/attempts/resolve-attempt.js";
import type { CreatingStage, Stage } from "../../functions/src/domain/order-lifecycle.js";
import { STAGES } from "../../functions/src/domain/order-lifecycle.js";
import { handleOrderMessage } from "../../functions/src/pipeline/handlers.js";
import { pollOrders } from "../../functions/src/pipeline/poll-orders.js";
import { historyEntryIn } from "../../functions/src/relations/history.js";
import { relationIn } from "../../functions/src/relations/relation.js";
import { sweep } from "../../functions/src/relations/sweep.js";
import { type TestBed, testBed } from "../../functions/src/testing/test-bed.js";
import { firstBuild } from "./documents.js";

const DECISION = { stage: "kitchen", by: "ana", reason: "asked the kitchen" } as const;

/** This build, at the moment in which it replaces the first one. */
async function bedOfFirstBuild(): Promise<TestBed> {
  const bed = testBed();
  const { now, orders, kitchenOrders, shipments, documents } = firstBuild();
  bed.clock.advance(Date.parse(now) - bed.clock.now());
  for (const order of orders) bed.food.orders.set(order.name, order);
  for (const one of kitchenOrders) bed.food.kitchenOrders.set(one.name, one);
  for (const one of shipments) bed.food.shipments.set(one.name, one);
  for (const { path, fields } of documents) await bed.store.set(path, fields);
  bed.store.changes.length = 0;
  // Names that the first build got must not come again.
  bed.food.nextNames.push("new/1", "new/2", "new/3");
  return bed;
}

const advance = (bed: TestBed, id: string, stage: Stage) =>
  handleOrderMessage(stage, { order: `orders/${id}`, status: STAGES[stage].takes }, bed.ports);

const attemptOf = (bed: TestBed, id: string, stage: CreatingStage) => bed.store.fields(`attempts/${stage}:${id}`);

describe("documents of the first build", () => {
  const PARSERS: { [collection: string]: (document: { path: string; fields: object; version: string }) => unknown } = {
    relations: relationIn as never,
    attempts: attemptIn as never,
    history: historyEntryIn as never,
    audit: auditEntryIn as never,
  };

  for (const { path, fields } of firstBuild().documents) {
    const parse = PARSERS[path.split("/")[0] ?? ""];
    if (parse) it(`${path} can be read`, () => assert.ok(parse({ path, fields, version: "1" })));
  }

  it("leases can be acquired by the poll and the sweep, and the sweep can check every document", async () => {
    const bed = await bedOfFirstBuild();
    await pollOrders(bed.ports);
    await sweep(bed.ports);
    const active = [...bed.food.orders.values()].filter(({ status }) =>
      Object.values(STAGES).some((stage) => stage.takes === status),
    );
    assert.equal(bed.published.length, active.length);
    const errors = bed.lines.filter(({ level }) => level === "error").map(({ fields }) => fields);
    assert.deepEqual(
      errors.map(({ outcome, waiting }) => [outcome, waiting]),
      [["needs_operator", 4]],
    );
  });
});

describe("orders of the first build", () => {
  for (const id of ["prepared", "adopted", "linked-by-operator"]) {
    it(`${id}: one shipment is created when the meal is packaged, and no second meal`, async () => {
      const bed = await bedOfFirstBuild();
      const kitchen = String(await bed.store.field(`relations/${id}`, "kitchen"));
      bed.food.kitchenOrders.set(kitchen, { name: kitchen, status: "PACKAGED" });
      await advance(bed, id, "kitchen");
      await advance(bed, id, "shipment");
      await advance(bed, id, "shipment");
      assert.deepEqual(
        bed.food.created.map(({ stage }) => stage),
        ["shipment"],
      );
      const relation = await bed.store.fields(`relations/${id}`);
      assert.deepEqual([relation?.kitchen, relation?.shipment, relation?.state], [kitchen, "new/1", "IN_FLIGHT"]);
    });
  }

  it("flying: the order is delivered when its shipment is", async () => {
    const bed = await bedOfFirstBuild();
    bed.food.shipments.set("shipments/3", { name: "shipments/3", status: "DELIVERED" });
    await advance(bed, "flying", "completion");
    assert.equal(await bed.store.field("relations/flying", "state"), "DELIVERED");
    assert.deepEqual(bed.food.created, []);
  });

  for (const id of ["delivered", "cancelled"]) {
    it(`${id}: nothing is created or written for late messages`, async () => {
      const bed = await bedOfFirstBuild();
      const before = await bed.store.fields(`relations/${id}`);
      for (const stage of Object.keys(STAGES) as Stage[]) await advance(bed, id, stage);
      assert.deepEqual(bed.food.created, []);
      assert.deepEqual(await bed.store.fields(`relations/${id}`), before);
    });
  }

  for (const id of ["rejected-once", "retried-by-operator"]) {
    it(`${id}: the kitchen order is created once`, async () => {
      const bed = await bedOfFirstBuild();
      await advance(bed, id, "kitchen");
      await advance(bed, id, "kitchen");
      assert.deepEqual(
        bed.food.created.map(({ stage }) => stage),
        ["kitchen"],
      );
      assert.equal(await bed.store.field(`relations/${id}`, "kitchen"), "new/1");
      assert.equal(await attemptOf(bed, id, "kitchen"), undefined);
    });
  }

  for (const [id, stage] of [
    ["parked", "kitchen"],
    ["uncertain", "kitchen"],
    ["uncertain-shipment", "shipment"],
  ] as const) {
    it(`${id}: nothing is created until an operator retries, and one ${stage} create follows`, async () => {
      const bed = await bedOfFirstBuild();
      await advance(bed, id, stage);
      assert.equal(bed.food.created.length, 0);
      const result = await resolveAttempt({ ...DECISION, stage, order: `orders/${id}` }, bed.ports);
      assert.equal(result.outcome, "advanced");
      await advance(bed, id, stage);
      assert.deepEqual(
        bed.food.created.map((create) => create.stage),
        [stage],
      );
    });
  }

  it("stranded: an operator can link what the other program created, and nothing is created", async () => {
    const bed = await bedOfFirstBuild();
    bed.food.kitchenOrders.set("kitchenorders/theirs", { name: "kitchenorders/theirs", status: "NEW" });
    await advance(bed, "stranded", "shipment");
    await resolveAttempt({ ...DECISION, order: "orders/stranded", link: "kitchenorders/theirs" }, bed.ports);
    assert.equal(await bed.store.field("relations/stranded", "kitchen"), "kitchenorders/theirs");
    assert.deepEqual(bed.food.created, []);
  });

  it("claimed: the claim holds for its lease, and is uncertain after it", async () => {
    const bed = await bedOfFirstBuild();
    await advance(bed, "claimed", "kitchen");
    assert.equal((await attemptOf(bed, "claimed", "kitchen"))?.state, "SENDING");
    bed.clock.advance(60_000);
    await advance(bed, "claimed", "kitchen");
    assert.equal((await attemptOf(bed, "claimed", "kitchen"))?.state, "UNCERTAIN");
    assert.deepEqual(bed.food.created, []);
  });

  it("a decision that was sent to the first build is not applied again", async () => {
    const bed = await bedOfFirstBuild();
    const decided = { ...DECISION, order: "orders/linked-by-operator", link: "kitchenorders/10", key: "a" };
    const result = await resolveAttempt(decided, bed.ports);
    assert.ok(result.outcome === "advanced" && result.isRepeat);
  });

  it("a kitchen order that the first build linked is never linked to another order", async () => {
    const bed = await bedOfFirstBuild();
    bed.food.nextNames.unshift("kitchenorders/1");
    await advance(bed, "rejected-once", "kitchen");
    assert.equal(await bed.store.fields("relations/rejected-once"), undefined);
    assert.equal((await attemptOf(bed, "rejected-once", "kitchen"))?.state, "UNCERTAIN");
  });
});
