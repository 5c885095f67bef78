/** Orders that the food service lists but does not answer about. */
import assert from "node:assert/strict";
import { attemptIn } from "../attempts/attempt.js";
import { resolveAttempt } from "../attempts/resolve-attempt.js";
import { type CallError, callError } from "../domain/errors.js";
import type { OrderStatus } from "../domain/order-lifecycle.js";
import { sweep } from "../relations/sweep.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { handleOrderMessage } from "./handlers.js";
import { countingUnreadable } from "./unreadable-order.js";

const MINUTE_MS = 60_000;
const ORDER = "orders/1";
const FOREIGN = callError("BAD_REPLY", "asked for orders/1, the food service answered with orders/2", true);

/** A kitchen attempt whose create is being sent; it has no lease. */
const SENDING = { schema: 1, order: ORDER, stage: "kitchen", id: "a", state: "SENDING", policy: "park", tries: 1 };

/** An order of this status, which has a kitchen order that is packaged and, in flight, a shipment. */
async function bedWith(status: OrderStatus): Promise<TestBed> {
  const bed = testBed({ MISSING_AFTER_MINUTES: 10 });
  bed.food.orders.set(ORDER, { name: ORDER, customerId: "krithik", status });
  bed.food.kitchenOrders.set("kitchenorders/1", { name: "kitchenorders/1", status: "PACKAGED" });
  bed.food.shipments.set("shipments/1", { name: "shipments/1", status: "DELIVERED" });
  const links = { kitchen: "kitchenorders/1", ...(status === "IN_FLIGHT" && { shipment: "shipments/1" }) };
  if (status !== "NEW") await bed.store.set("relations/1", { schema: 1, state: status, ...links });
  return bed;
}

const STAGES = { NEW: "kitchen", PREPARATION: "shipment", IN_FLIGHT: "completion" } as const;

/** So many ticks at which the order comes to its stage, and the food service answers like this; without an error, truly. */
async function ticks(bed: TestBed, status: keyof typeof STAGES, count: number, error?: CallError): Promise<void> {
  for (let tick = 0; tick < count; tick++) {
    if (error) bed.food.hooks.once("getOrder", "before", () => Promise.reject(error));
    await handleOrderMessage(STAGES[status], { order: ORDER, status }, bed.ports);
    bed.clock.advance(MINUTE_MS);
  }
}

async function attemptOf(bed: TestBed, stage: "kitchen" | "shipment") {
  const [found] = await bed.store.memory.read(`attempts/${stage}:1`);
  return attemptIn(found);
}

const UNANSWERED = `the food service lists the order but does not answer about it: ${FOREIGN.message}`;

/** What a stage says of an order if the food service answers about another one. */
function outcomeOf(bed: TestBed, stage: "kitchen" | "shipment") {
  return countingUnreadable(stage, () => Promise.reject(FOREIGN))({ name: ORDER, id: "1" }, bed.ports);
}

describe("an order that the food service lists but does not answer about", () => {
  for (const [status, stage, error] of [
    ["NEW", "kitchen", FOREIGN],
    ["PREPARATION", "shipment", FOREIGN],
    ["PREPARATION", "shipment", callError("NOT_FOUND", "there is no orders/1", true)],
  ] as const) {
    it(`waits for an operator after several looks when it is ${status} and the answer is ${error.code}`, async () => {
      const bed = await bedWith(status);
      await ticks(bed, status, 10, error);
      assert.equal((await attemptOf(bed, stage))?.state, "FAILED", "not before MISSING_AFTER_MINUTES");
      await ticks(bed, status, 2, error);
      const { state, reason, tries } = (await attemptOf(bed, stage)) ?? {};
      assert.deepEqual({ state, code: reason?.code, tries }, { state: "PARKED", code: "ORDER_UNREADABLE", tries: 0 });
      assert.match(reason?.message ?? "", /lists the order but does not answer about it: .*orders\/1/);
      assert.deepEqual(bed.food.created, []);
      bed.food.hooks.once("getOrder", "before", () => Promise.reject(error));
      assert.equal((await sweep(bed.ports)).waiting, 1);
    });
  }

  it("waits for an operator when it was delivered and its status can't be reported", async () => {
    const bed = await bedWith("IN_FLIGHT");
    await ticks(bed, "IN_FLIGHT", 1);
    assert.equal(await bed.store.field("relations/1", "state"), "DELIVERED");
    await ticks(bed, "IN_FLIGHT", 12, FOREIGN);
    assert.equal((await attemptOf(bed, "shipment"))?.reason?.code, "ORDER_UNREADABLE");
  });

  it("is shown in the outcome of its stage: counted, skipped between two looks, and left to an operator", async () => {
    const bed = await bedWith("NEW");
    const counted = { outcome: "blocked", reason: UNANSWERED };
    const between = { outcome: "skipped", reason: UNANSWERED };
    const parked = { outcome: "blocked", reason: `${UNANSWERED}; an operator must resolve the kitchen attempt` };
    let minute = 0;
    for (const [at, expected] of [
      [0, counted],
      [1, between],
      [5, counted],
      [6, between],
      [10, parked],
      [11, between],
    ] as const) {
      bed.clock.advance((at - minute) * MINUTE_MS);
      minute = at;
      assert.deepEqual(await outcomeOf(bed, "kitchen"), expected, `after ${at} minutes`);
    }
  });

  it("is not sent for again within a look's interval, and costs one write for each look", async () => {
    const bed = await bedWith("NEW");
    await ticks(bed, "NEW", 5, FOREIGN);
    assert.equal(bed.store.commits.length, 1);
    await ticks(bed, "NEW", 1, FOREIGN);
    assert.equal(bed.store.commits.length, 2);
  });

  it("continues once the food service answers, though an operator was asked", async () => {
    const bed = await bedWith("PREPARATION");
    await ticks(bed, "PREPARATION", 12, FOREIGN);
    bed.food.hooks.once("getOrder", "before", () => Promise.reject(FOREIGN));
    await sweep(bed.ports);
    assert.equal((await attemptOf(bed, "shipment"))?.state, "PARKED", "the food service does not answer yet");
    await sweep(bed.ports);
    assert.equal((await attemptOf(bed, "shipment"))?.state, "CLOSED");
    await ticks(bed, "PREPARATION", 1);
    assert.equal(bed.food.created.length, 1);
    assert.equal(await bed.store.field("relations/1", "shipment"), "shipments/1");
    assert.equal(await attemptOf(bed, "shipment"), undefined);
  });

  it("continues at once when the food service answers before an operator is asked", async () => {
    const bed = await bedWith("NEW");
    await ticks(bed, "NEW", 3, FOREIGN);
    await ticks(bed, "NEW", 1);
    assert.equal(bed.food.created.length, 1);
    assert.equal(await attemptOf(bed, "kitchen"), undefined);
  });

  it("counts anew after a sweep to which the food service answered", async () => {
    const bed = await bedWith("PREPARATION");
    await ticks(bed, "PREPARATION", 6, FOREIGN);
    await sweep(bed.ports);
    assert.equal((await attemptOf(bed, "shipment"))?.state, "CLOSED");
    await ticks(bed, "PREPARATION", 1, FOREIGN);
    const { state, unreadable } = (await attemptOf(bed, "shipment")) ?? {};
    assert.deepEqual([state, unreadable?.looks], ["FAILED", 1]);
    const { expireAt, isDismissed, missing } = (await bed.store.fields("attempts/shipment:1")) ?? {};
    assert.deepEqual([expireAt, isDismissed, missing], [null, null, null], "what closed it no longer counts");
  });

  for (const [looks, state] of [
    [1, "FAILED"],
    [12, "PARKED"],
  ] as const) {
    it(`sends nothing after ${looks} unanswered ticks for an order whose create an operator dismissed`, async () => {
      const bed = await bedWith("NEW");
      const reason = { code: "UNAVAILABLE", message: "the reply was lost" };
      await bed.store.set("attempts/kitchen:1", { ...SENDING, state: "CLOSED", isDismissed: true, reason });
      await ticks(bed, "NEW", looks, FOREIGN);
      assert.equal((await attemptOf(bed, "kitchen"))?.state, state);
      await ticks(bed, "NEW", 2);
      await sweep(bed.ports);
      await ticks(bed, "NEW", 2);
      const attempt = await attemptOf(bed, "kitchen");
      assert.deepEqual([attempt?.state, attempt?.dismissedFor, attempt?.expireAt], ["CLOSED", reason.code, null]);
      assert.deepEqual(bed.food.created, []);
    });
  }

  it("stays closed when an operator dismisses it", async () => {
    const bed = await bedWith("PREPARATION");
    await ticks(bed, "PREPARATION", 12, FOREIGN);
    await resolveAttempt({ order: ORDER, stage: "shipment", dismiss: true, by: "ada", reason: "known" }, bed.ports);
    await ticks(bed, "PREPARATION", 12, FOREIGN);
    assert.deepEqual(await outcomeOf(bed, "shipment"), { outcome: "skipped", reason: UNANSWERED });
    const { state, isDismissed } = (await attemptOf(bed, "shipment")) ?? {};
    assert.deepEqual({ state, isDismissed }, { state: "CLOSED", isDismissed: true });
  });

  for (const state of ["UNCERTAIN", "PARKED", "SENDING"] as const) {
    it(`leaves an attempt that is ${state} unchanged`, async () => {
      const bed = await bedWith("NEW");
      const fields = { ...SENDING, state };
      await bed.store.set("attempts/kitchen:1", fields);
      await ticks(bed, "NEW", 12, FOREIGN);
      assert.deepEqual(await outcomeOf(bed, "kitchen"), { outcome: "skipped", reason: UNANSWERED });
      assert.deepEqual(await bed.store.fields("attempts/kitchen:1"), fields);
    });
  }

  it("leaves a claim unchanged that another process changes at that moment", async () => {
    const bed = await bedWith("NEW");
    await bed.store.set("attempts/kitchen:1", { ...SENDING, leaseUntil: new Date(bed.clock.now()) });
    bed.store.hooks.once("commit", "before", () => bed.store.set("attempts/kitchen:1", { id: "b" }));
    const reason = "claimed or settled by another process";
    assert.deepEqual(await outcomeOf(bed, "kitchen"), { outcome: "skipped", reason });
    assert.deepEqual((await attemptOf(bed, "kitchen"))?.state, "SENDING");
  });

  for (const [policy, today, isResent] of [
    ["idempotency-key", "idempotency-key", true],
    ["park", "park", false],
    ["park", "idempotency-key", false],
  ] as const) {
    it(`is shown to an operator when the process that sent its create under ${policy} died, if the policy is ${today} now`, async () => {
      const bed = await bedWith("NEW");
      bed.ports.settings.CREATE_POLICY = today;
      const leaseUntil = new Date(bed.clock.now() + 20_000);
      await bed.store.set("attempts/kitchen:1", { ...SENDING, policy, leaseUntil });
      await ticks(bed, "NEW", 1, FOREIGN);
      assert.equal((await attemptOf(bed, "kitchen"))?.state, "SENDING", "its lease is not over");
      const outcome = await outcomeOf(bed, "kitchen");
      assert.equal(outcome.outcome, "blocked");
      assert.match("reason" in outcome ? outcome.reason : "", /^uncertain: the lease expired, and the food service/);
      bed.clock.advance(MINUTE_MS);
      const { state, reason, nextTryAt, id } = (await attemptOf(bed, "kitchen")) ?? {};
      assert.deepEqual({ state, code: reason?.code, id }, { state: "UNCERTAIN", code: "LEASE_EXPIRED", id: "a" });
      assert.equal(nextTryAt instanceof Date, isResent);
      await ticks(bed, "NEW", 1);
      assert.equal(bed.food.created.length, isResent ? 1 : 0);
    });
  }

  it("leaves a claim to the sweep whose link was made", async () => {
    const bed = await bedWith("PREPARATION");
    const leaseUntil = new Date(bed.clock.now());
    await bed.store.set("attempts/kitchen:1", { ...SENDING, leaseUntil });
    await ticks(bed, "NEW", 2, FOREIGN);
    assert.deepEqual(await outcomeOf(bed, "kitchen"), { outcome: "skipped", reason: UNANSWERED });
    assert.equal((await attemptOf(bed, "kitchen"))?.state, "SENDING");
  });

  it("keeps the reason of a create that failed until an operator is asked", async () => {
    const bed = await bedWith("NEW");
    bed.food.hooks.once("createKitchenOrder", "before", () => {
      throw callError("INVALID_ARGUMENT", "refused", true);
    });
    await ticks(bed, "NEW", 1);
    await ticks(bed, "NEW", 3, FOREIGN);
    const failed = await attemptOf(bed, "kitchen");
    assert.deepEqual([failed?.state, failed?.tries, failed?.reason?.code], ["FAILED", 1, "INVALID_ARGUMENT"]);
    await ticks(bed, "NEW", 10, FOREIGN);
    const parked = await attemptOf(bed, "kitchen");
    assert.deepEqual([parked?.state, parked?.tries, parked?.reason?.code], ["PARKED", 1, "ORDER_UNREADABLE"]);
  });
});
