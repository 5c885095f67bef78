import assert from "node:assert/strict";
import { ConflictError, callError, StoreError } from "../domain/errors.js";
import type { OrderStatus, RelationState } from "../domain/order-lifecycle.js";
import type { Fields } from "../ports.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { comeBack } from "./come-back.js";
import { relationIn } from "./relation.js";
import { reopenRelation } from "./reopen-relation.js";

const REF = { name: "orders/1", id: "1" };
const PATH = "relations/1";
const LINKS = { kitchen: "kitchenorders/1" };

async function bedWith(state: RelationState, status: OrderStatus, more: Fields = LINKS): Promise<TestBed> {
  const bed = testBed();
  show(bed, status);
  await bed.store.set(PATH, { schema: 1, state, ...more });
  return bed;
}

const show = (bed: TestBed, status: OrderStatus, placedAt?: Date) =>
  bed.food.orders.set(REF.name, { name: REF.name, customerId: "ada", status, ...(placedAt && { placedAt }) });

async function found(bed: TestBed) {
  const [snapshot] = await bed.store.memory.read(PATH);
  const relation = relationIn(snapshot);
  assert.ok(snapshot && relation);
  return { snapshot, relation };
}

async function look(bed: TestBed) {
  const { snapshot, relation } = await found(bed);
  return comeBack(REF, snapshot, relation, bed.ports);
}

const fieldsOf = (bed: TestBed) => bed.store.fields(PATH);

describe("a closed relation whose order is looked at again", () => {
  for (const status of ["CANCELLED", "DELIVERED", "REJECTED", "UNKNOWN"] as const) {
    it(`stays closed, without a write, if the order is ${status}`, async () => {
      const bed = await bedWith("CANCELLED", status);
      assert.deepEqual(await look(bed), { outcome: "skipped", reason: `the order is ${status}` });
      assert.deepEqual(bed.store.commits, []);
    });
  }

  it("is reopened at once if it was GONE, with the state of its links and an entry in the history", async () => {
    const missing = { since: new Date(0), last: new Date(0), looks: 3 };
    const bed = await bedWith("GONE", "PREPARATION", {
      ...LINKS,
      shipment: "shipments/1",
      times: { GONE: new Date(1) },
      trouble: { missing },
    });
    assert.deepEqual(await look(bed), { outcome: "advanced", to: "IN_FLIGHT" });
    const now = new Date(bed.clock.now());
    const { state, times, trouble, kitchen } = (await fieldsOf(bed)) ?? {};
    assert.deepEqual(
      { state, times, trouble, kitchen },
      { state: "IN_FLIGHT", times: { GONE: new Date(1), IN_FLIGHT: now }, trouble: null, ...LINKS },
    );
    const [entry, ...others] = bed.store.memory.all("history");
    assert.deepEqual(
      [entry?.fields.order, entry?.fields.state, entry?.fields.at, others],
      [REF.name, "IN_FLIGHT", now, []],
    );
  });

  it("stays GONE if it has no links", async () => {
    const bed = await bedWith("GONE", "NEW", {});
    assert.deepEqual(await look(bed), { outcome: "skipped", reason: "the relation is GONE and has no links" });
    assert.deepEqual(bed.store.commits, []);
  });

  it("is reopened after a minute if it was CANCELLED and the order is NEW, counted from the first look", async () => {
    const bed = await bedWith("CANCELLED", "NEW");
    const waits = { outcome: "skipped", reason: "the order was cancelled and is shown as NEW" };
    assert.deepEqual(await look(bed), waits);
    assert.deepEqual(await bed.store.field(PATH, "trouble"), { activeAgain: new Date(bed.clock.now()) });
    bed.clock.advance(59_999);
    assert.deepEqual(await look(bed), waits);
    assert.equal(bed.store.commits.length, 1, "the first look is what counts");
    bed.clock.advance(1);
    assert.deepEqual(await look(bed), { outcome: "advanced", to: "PREPARATION" });
    assert.equal(await bed.store.field(PATH, "trouble"), null);
  });

  it("counts from the start again if the order was seen as cancelled in between", async () => {
    const missing = { since: new Date(0), last: new Date(0), looks: 1 };
    const bed = await bedWith("CANCELLED", "NEW", { ...LINKS, trouble: { missing } });
    await look(bed);
    show(bed, "CANCELLED");
    await look(bed);
    assert.deepEqual(await bed.store.field(PATH, "trouble"), { missing }, "other trouble stays");
    show(bed, "NEW");
    bed.clock.advance(60_000);
    assert.equal((await look(bed)).outcome, "skipped");
    assert.equal(await bed.store.field(PATH, "state"), "CANCELLED");
  });

  it("is not reopened by two brief reappearances, however long ago the first one was", async () => {
    const bed = await bedWith("CANCELLED", "NEW");
    await look(bed);
    for (const later of [180_000, 3_600_000]) {
      bed.clock.advance(later);
      assert.equal((await look(bed)).outcome, "skipped");
      assert.deepEqual(await bed.store.field(PATH, "trouble"), { activeAgain: new Date(bed.clock.now()) });
    }
    assert.equal(await bed.store.field(PATH, "state"), "CANCELLED");
  });

  it("is reopened if the second look is late, but belongs to the same reappearance", async () => {
    const bed = await bedWith("CANCELLED", "NEW");
    await look(bed);
    bed.clock.advance(179_999);
    assert.equal((await look(bed)).outcome, "advanced");
  });

  it("waits for an operator, without another write, if the order is further along for long", async () => {
    const bed = await bedWith("CANCELLED", "IN_FLIGHT");
    await look(bed);
    bed.clock.advance(3_600_000);
    await look(bed);
    const { length } = bed.store.commits;
    bed.clock.advance(3_600_000);
    assert.equal((await look(bed)).outcome, "skipped");
    assert.equal(bed.store.commits.length, length);
  });

  for (const status of ["PREPARATION", "IN_FLIGHT"] as const) {
    it(`waits for an operator after a minute if it was CANCELLED and the order is ${status}`, async () => {
      const bed = await bedWith("CANCELLED", status);
      await look(bed);
      bed.clock.advance(59_999);
      assert.equal((await look(bed)).outcome, "skipped");
      bed.clock.advance(1);
      assert.equal((await look(bed)).outcome, "blocked");
      assert.deepEqual(await bed.store.field("attempts/kitchen:1", "reason"), {
        code: "ACTIVE_AFTER_CANCELLATION",
        message: `the order was cancelled, but the food service shows it as ${status} again`,
      });
      assert.equal(await bed.store.field(PATH, "state"), "CANCELLED");
    });
  }

  it("waits for an operator if it was placed at another time, whatever it was closed as", async () => {
    for (const state of ["CANCELLED", "GONE"] as const) {
      const bed = await bedWith(state, "NEW", { ...LINKS, placedAt: new Date(0) });
      show(bed, "NEW", new Date("2026-01-01T00:00:00Z"));
      assert.equal((await look(bed)).outcome, "blocked");
      assert.deepEqual(await bed.store.field("attempts/kitchen:1", "reason"), {
        code: "ORDER_REPLACED",
        message: `the order was placed at 2026-01-01T00:00:00.000Z, but its relation is ${state} and of an order placed at 1970-01-01T00:00:00.000Z`,
      });
    }
  });

  it("makes room for the new order if it was delivered or rejected, unless it was changed concurrently", async () => {
    for (const state of ["DELIVERED", "REJECTED"] as const) {
      const bed = await bedWith(state, "NEW", { ...LINKS, shipment: "shipments/1", placedAt: new Date(0) });
      show(bed, "NEW", new Date(60_000));
      const { snapshot, relation } = await found(bed);
      await bed.store.set(PATH, { note: "x" });
      const raced = await comeBack(REF, snapshot, relation, bed.ports);
      assert.deepEqual(raced, { outcome: "skipped", reason: "the relation was changed concurrently" });
      assert.deepEqual(await look(bed), { outcome: "advanced", to: "REPLACED" });
      assert.equal(await fieldsOf(bed), undefined);
    }
  });

  it("is not touched if the food service does not answer, or the store fails", async () => {
    const bed = await bedWith("GONE", "PREPARATION");
    bed.food.hooks.once("getOrder", "before", () => {
      throw callError("UNAVAILABLE", "down", true);
    });
    await assert.rejects(look(bed), { code: "UNAVAILABLE" });
    bed.store.hooks.once("commit", "before", () => {
      throw new StoreError("down");
    });
    await assert.rejects(look(bed), StoreError);
    assert.equal(await bed.store.field(PATH, "state"), "GONE");
    const other = await bedWith("DELIVERED", "NEW", { ...LINKS, shipment: "shipments/1", placedAt: new Date(0) });
    show(other, "NEW", new Date(60_000));
    other.store.hooks.once("commit", "before", () => {
      throw new StoreError("down");
    });
    await assert.rejects(look(other), StoreError);
  });

  it("is reopened by one of two processes", async () => {
    const bed = await bedWith("GONE", "PREPARATION");
    const { snapshot, relation } = await found(bed);
    bed.store.hooks.once("commit", "before", () => {
      throw new ConflictError("reopened concurrently");
    });
    const outcome = await reopenRelation(snapshot, relation, bed.ports);
    assert.deepEqual(outcome, { outcome: "skipped", reason: "the relation was changed concurrently" });
  });
});
