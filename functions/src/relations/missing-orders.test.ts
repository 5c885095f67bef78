/** Orders that the food service does not find: absence is not an end. */
import assert from "node:assert/strict";
import { claimFields } from "../attempts/attempt.js";
import { resolveAttempt } from "../attempts/resolve-attempt.js";
import type { OrderStatus } from "../domain/order-lifecycle.js";
import { handleOrderMessage, reactionsTo, runReaction } from "../pipeline/handlers.js";
import { pollOrders } from "../pipeline/poll-orders.js";
import type { Fields } from "../ports.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { sweep } from "./sweep.js";

const MINUTE_MS = 60_000;

function place(bed: TestBed, id: string, status: OrderStatus, placedAt?: Date): void {
  const name = `orders/${id}`;
  bed.food.orders.set(name, { name, customerId: "krithik", status, ...(placedAt && { placedAt }) });
}

/** An order in preparation, with its kitchen order and its relation. */
async function inPreparation(bed: TestBed, id: string, fields: Fields = {}): Promise<void> {
  const kitchen = `kitchenorders/${id}`;
  place(bed, id, "PREPARATION");
  bed.food.kitchenOrders.set(kitchen, { name: kitchen, status: "NEW" });
  await bed.store.set(`relations/${id}`, { schema: 1, state: "PREPARATION", kitchen, ...fields });
}

/** The food service without any of its orders; call what is returned to bring them back. */
function emptied(bed: TestBed): () => void {
  const orders = [...bed.food.orders];
  bed.food.orders.clear();
  return () => {
    for (const [name, order] of orders) bed.food.orders.set(name, order);
  };
}

const stateOf = (bed: TestBed, id: string) => bed.store.field(`relations/${id}`, "state");

async function sweepFor(bed: TestBed, minutes: number): Promise<void> {
  for (let passed = 0; passed < minutes; passed += 10) {
    await sweep(bed.ports);
    bed.clock.advance(10 * MINUTE_MS);
  }
}

/** One poll and all that comes of it. */
async function tick(bed: TestBed): Promise<void> {
  await pollOrders(bed.ports);
  for (const { stage, message } of bed.published.splice(0)) await handleOrderMessage(stage, message, bed.ports);
  for (let change = bed.store.changes.shift(); change; change = bed.store.changes.shift()) {
    const [collection, id = ""] = (change.after ?? change.before)?.path.split("/") ?? [];
    if (collection !== "relations") continue;
    for (const reaction of reactionsTo(change)) await runReaction(reaction, id, change, bed.ports);
  }
  bed.clock.advance(MINUTE_MS);
}

describe("an order that the food service does not find", () => {
  it("is closed as GONE after several lookups over more than MISSING_AFTER_MINUTES, and not before", async () => {
    const bed = testBed();
    for (const id of ["1", "2", "3"]) await inPreparation(bed, id);
    bed.food.orders.delete("orders/1");
    await sweepFor(bed, 60);
    assert.equal(await stateOf(bed, "1"), "PREPARATION");
    await sweepFor(bed, 30);
    assert.equal(await stateOf(bed, "1"), "GONE");
    assert.deepEqual([await stateOf(bed, "2"), await stateOf(bed, "3")], ["PREPARATION", "PREPARATION"]);
  });

  it("is not closed if a lookup in between found it, however long ago the first lookup was", async () => {
    const bed = testBed();
    for (const id of ["1", "2", "3"]) await inPreparation(bed, id);
    for (let outage = 0; outage < 12; outage++) {
      const bringBack = emptied(bed);
      place(bed, "2", "PREPARATION");
      place(bed, "3", "PREPARATION");
      await sweepFor(bed, 10);
      bringBack();
      await sweepFor(bed, 10);
    }
    assert.equal(await stateOf(bed, "1"), "PREPARATION");
    assert.equal(await bed.store.field("relations/1", "trouble"), null, "the looks are forgotten");
  });

  it("is not closed by lookups within one short outage, even after an earlier outage", async () => {
    const bed = testBed();
    for (const id of ["1", "2", "3"]) await inPreparation(bed, id);
    bed.food.orders.delete("orders/1");
    await sweep(bed.ports);
    bed.clock.advance(48 * 60 * MINUTE_MS);
    for (let look = 0; look < 5; look++) {
      await sweep(bed.ports);
      bed.clock.advance(MINUTE_MS);
    }
    assert.equal(await stateOf(bed, "1"), "PREPARATION");
  });

  it("costs one write for each of three lookups, and a healthy order costs none", async () => {
    const bed = testBed();
    for (const id of ["1", "2", "3"]) await inPreparation(bed, id);
    bed.food.orders.delete("orders/1");
    await sweepFor(bed, 200);
    const writes = bed.store.writes.filter(({ path }) => path.startsWith("relations/")).map(({ path }) => path);
    assert.deepEqual(writes, ["relations/1", "relations/1", "relations/1", "relations/1"]);
  });

  for (const count of [2, 5, 20]) {
    it(`is not closed while all ${count} open orders are missing: an alert is raised, and all continue after the outage`, async () => {
      const bed = testBed();
      const ids = Array.from({ length: count }, (_, index) => String(index));
      for (const id of ids) await inPreparation(bed, id);
      const bringBack = emptied(bed);
      await sweepFor(bed, 240);
      for (const id of ids) assert.equal(await stateOf(bed, id), "PREPARATION");
      const alerts = bed.lines.filter(({ fields }) => fields.outcome === "orders_missing");
      assert.ok(alerts.length > 0 && alerts.every(({ level }) => level === "error"));
      assert.deepEqual([alerts[0]?.fields.missing, alerts[0]?.fields.open], [count, count]);

      bringBack();
      await sweep(bed.ports);
      const attempts = bed.store.memory.all("attempts").map(({ fields }) => fields.state);
      assert.ok(
        attempts.every((state) => state === "CLOSED"),
        "what waited for an operator has resolved itself",
      );
      for (const id of ids) assert.equal(await bed.store.field(`relations/${id}`, "trouble"), null);
    });
  }

  for (const { missing, open, state } of [
    { missing: 2, open: 10, state: "GONE" },
    { missing: 3, open: 14, state: "PREPARATION" },
  ]) {
    it(`is ${state} for good if ${missing} of ${open} open orders are missing for long`, async () => {
      const bed = testBed();
      for (let id = 1; id <= open; id++) await inPreparation(bed, String(id));
      for (let id = 1; id <= missing; id++) bed.food.orders.delete(`orders/${id}`);
      await sweepFor(bed, 120);
      for (let id = 1; id <= missing; id++) assert.equal(await stateOf(bed, String(id)), state);
    });
  }

  it("needs an operator, who can close it, if a large share is missing for long", async () => {
    const bed = testBed();
    for (const id of ["1", "2", "3"]) await inPreparation(bed, id);
    emptied(bed);
    await sweepFor(bed, 120);
    const decision = { order: "orders/1", stage: "kitchen", by: "ana", reason: "the service was emptied" } as const;
    assert.equal((await resolveAttempt(decision, bed.ports)).outcome, "blocked", "there is nothing to retry");
    const result = await resolveAttempt({ ...decision, dismiss: true }, bed.ports);
    assert.deepEqual([result.outcome, result.outcome === "advanced" && result.to], ["advanced", "CLOSED"]);
    assert.equal(await stateOf(bed, "1"), "GONE");
    assert.equal(await stateOf(bed, "2"), "PREPARATION");
  });

  for (const state of ["FAILED", "PARKED"]) {
    it(`keeps its ${state} attempt until it counts as gone`, async () => {
      const bed = testBed();
      const claim = { order: "orders/1", stage: "kitchen", id: "a", policy: "park", tries: 1 } as const;
      const fields = { ...claimFields({ ...claim, claimedAt: 0, leaseUntil: 0 }), state, leaseUntil: null };
      await bed.store.set("attempts/kitchen:1", fields);
      await sweepFor(bed, 60);
      assert.equal(await bed.store.field("attempts/kitchen:1", "state"), state);
      await sweepFor(bed, 60);
      assert.equal(await bed.store.field("attempts/kitchen:1", "state"), "CLOSED");

      place(bed, "1", "NEW");
      await tick(bed);
      assert.equal(bed.food.created.length, 1, "an order that comes back is sent to the kitchen");
      assert.equal(await bed.store.field("relations/1", "kitchen"), "kitchenorders/1");
    });
  }
});

describe("an order that reappears", () => {
  for (const status of ["NEW", "PREPARATION"] as const) {
    it(`continues without a second create when its relation is GONE and the food service shows it as ${status}`, async () => {
      const bed = testBed();
      await inPreparation(bed, "1", { state: "GONE" });
      place(bed, "1", status);
      await tick(bed);
      assert.equal(await stateOf(bed, "1"), "PREPARATION");
      await tick(bed);
      assert.equal(bed.food.orders.get("orders/1")?.status, "PREPARATION");
      bed.food.kitchenOrders.set("kitchenorders/1", { name: "kitchenorders/1", status: "PACKAGED" });
      await tick(bed);
      await tick(bed);
      assert.deepEqual(
        bed.food.created.map(({ stage }) => stage),
        ["shipment"],
      );
    });
  }

  it("can disappear and reappear repeatedly", async () => {
    const bed = testBed();
    for (const id of ["1", "2", "3"]) await inPreparation(bed, id);
    for (let time = 0; time < 3; time++) {
      bed.food.orders.delete("orders/1");
      await sweepFor(bed, 120);
      assert.equal(await stateOf(bed, "1"), "GONE");
      place(bed, "1", "PREPARATION");
      await tick(bed);
      assert.equal(await stateOf(bed, "1"), "PREPARATION");
    }
    assert.deepEqual(bed.food.created, []);
  });

  it("continues without a second create when it was cancelled and is NEW again for a while", async () => {
    const bed = testBed();
    await inPreparation(bed, "1", { state: "CANCELLED" });
    place(bed, "1", "NEW");
    await tick(bed);
    assert.equal(await stateOf(bed, "1"), "CANCELLED", "a replica that is behind may show it once");
    await tick(bed);
    await tick(bed);
    assert.equal(await stateOf(bed, "1"), "PREPARATION");
    assert.deepEqual(bed.food.created, []);
  });

  it("stays closed when it was cancelled and only a replica that is behind shows it as NEW", async () => {
    const bed = testBed();
    await inPreparation(bed, "1", { state: "CANCELLED" });
    for (let time = 0; time < 3; time++) {
      place(bed, "1", "NEW");
      await tick(bed);
      place(bed, "1", "CANCELLED");
      await handleOrderMessage("kitchen", { order: "orders/1", status: "NEW" }, bed.ports);
      bed.clock.advance(MINUTE_MS);
    }
    assert.equal(await stateOf(bed, "1"), "CANCELLED");
    assert.deepEqual(bed.food.updates, []);
  });

  it("needs an operator when it was cancelled and is in preparation again, perhaps by our own late report", async () => {
    const bed = testBed();
    await inPreparation(bed, "1", { state: "CANCELLED" });
    for (let time = 0; time < 3; time++) await tick(bed);
    assert.equal(await stateOf(bed, "1"), "CANCELLED");
    const reason = (await bed.store.field("attempts/kitchen:1", "reason")) as Fields;
    assert.equal(reason.code, "ACTIVE_AFTER_CANCELLATION");
    await resolveAttempt({ order: "orders/1", stage: "kitchen", by: "ana", reason: "the customer called" }, bed.ports);
    assert.equal(await stateOf(bed, "1"), "PREPARATION");
    assert.equal(await bed.store.fields("attempts/kitchen:1"), undefined);
  });
});

describe("an order whose name was used before", () => {
  const THEN = new Date("2026-01-01T00:00:00.000Z");
  const NOW = new Date("2026-02-01T00:00:00.000Z");

  for (const state of ["DELIVERED", "REJECTED"] as const) {
    it(`is a new order after one that was ${state}: it is cooked, and not reported as ${state}`, async () => {
      const bed = testBed();
      const links = { kitchen: "kitchenorders/old", shipment: "shipments/old" };
      await bed.store.set("relations/1", { schema: 1, state, ...links, placedAt: THEN });
      place(bed, "1", "NEW", NOW);
      await tick(bed);
      await tick(bed);
      assert.deepEqual(
        bed.food.updates.map(({ status }) => status),
        ["PREPARATION"],
      );
      const relation = await bed.store.fields("relations/1");
      assert.deepEqual([relation?.kitchen, relation?.shipment], ["kitchenorders/1", undefined]);
      assert.deepEqual(relation?.placedAt, NOW);
    });
  }

  for (const state of ["PREPARATION", "CANCELLED", "GONE"] as const) {
    it(`needs an operator when its relation is ${state}, since a meal may be cooking`, async () => {
      const bed = testBed();
      await inPreparation(bed, "1", { state, placedAt: THEN });
      place(bed, "1", "NEW", NOW);
      for (let time = 0; time < 3; time++) await tick(bed);
      assert.deepEqual([bed.food.created, bed.food.updates], [[], []]);
      const reason = (await bed.store.field("attempts/kitchen:1", "reason")) as Fields;
      assert.equal(reason.code, "ORDER_REPLACED");

      const decision = { order: "orders/1", stage: "kitchen", by: "ana", reason: "a new order" } as const;
      await resolveAttempt(decision, bed.ports);
      await tick(bed);
      assert.equal(bed.food.created.length, 1);
    });
  }

  it("continues as the same order when an operator decides so", async () => {
    const bed = testBed();
    await inPreparation(bed, "1", { placedAt: THEN });
    place(bed, "1", "NEW", NOW);
    await tick(bed);
    const decision = { order: "orders/1", stage: "kitchen", by: "ana", reason: "a restore" } as const;
    await resolveAttempt({ ...decision, dismiss: true }, bed.ports);
    await tick(bed);
    assert.deepEqual(bed.food.created, []);
    assert.equal(bed.food.orders.get("orders/1")?.status, "PREPARATION");
  });

  it("is the same order if either creation time is unknown, or they differ by less than a second", async () => {
    for (const [then, now] of [
      [undefined, NOW],
      [NOW, undefined],
      [NOW, new Date(NOW.getTime() + 999)],
    ]) {
      const bed = testBed();
      await inPreparation(bed, "1", then ? { placedAt: then } : {});
      place(bed, "1", "NEW", now);
      await tick(bed);
      assert.equal(bed.food.orders.get("orders/1")?.status, "PREPARATION");
    }
  });
});
