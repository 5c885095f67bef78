import assert from "node:assert/strict";
import type { ActiveStatus } from "./domain/order-lifecycle.js";
import { arrivalsIn, POLL_LEASE, PollTally } from "./poll-health.js";
import type { Fields, Order } from "./ports.js";

const NOON = Date.parse("2026-01-01T12:00:00Z");
const MINUTE_MS = 60_000;

const order = (id: number, placedAt?: number, status: ActiveStatus = "NEW"): Order => ({
  name: `orders/${id}`,
  customerId: "krithik",
  status,
  placedAt: placedAt === undefined ? undefined : new Date(placedAt),
});

/** What a run leaves in its lease when it saw these orders. */
function run(before: Fields, at: number, orders: Order[], failure?: string): Fields {
  const tally = new PollTally(before, at);
  for (const status of ["NEW", "PREPARATION", "IN_FLIGHT"] as const) {
    tally.see(
      status,
      orders.filter((one) => one.status === status),
    );
  }
  if (failure !== undefined) tally.fail({ code: "UNAVAILABLE", message: failure });
  return tally.fieldsAt(at + 800, "rev-1", failure !== undefined);
}

const healthIn = ({ health }: Fields) => health as Fields;

describe("the poll's health", () => {
  it("counts the active orders, and names those that have been NEW for longest", () => {
    const orders = Array.from({ length: 15 }, (_, index) => order(index, NOON - index * MINUTE_MS));
    const health = healthIn(run({}, NOON, [...orders, order(99, NOON, "IN_FLIGHT")]));
    assert.deepEqual(health.active, { NEW: 15, PREPARATION: 0, IN_FLIGHT: 1 });
    assert.deepEqual([health.tookMs, health.failedPages, health.revision], [800, 0, "rev-1"]);
    const waiting = health.waiting as { order: string; since: Date }[];
    assert.deepEqual([waiting.length, waiting[0]?.order], [10, "orders/14"]);
  });

  it("counts an order as arrived in the run that sees it first, and never again", () => {
    let lease = run({}, NOON, [order(1, NOON - 5 * MINUTE_MS)]);
    lease = run(lease, NOON + MINUTE_MS, [order(1, NOON - 5 * MINUTE_MS), order(2, NOON + 1), order(3, NOON + 2)]);
    lease = run(lease, NOON + 2 * MINUTE_MS, [order(2, NOON + 1, "PREPARATION"), order(3, NOON + 2)]);
    const arrived = arrivalsIn({ path: POLL_LEASE, fields: lease, version: "1" });
    assert.deepEqual([arrived("2026-01-01T12"), arrived("2026-01-01T11")], [2, 0]);
  });

  it("counts arrivals during failed runs in the next complete run", () => {
    let lease = run({}, NOON, [order(1, NOON - 1)]);
    lease = run(lease, NOON + MINUTE_MS, [order(2, NOON + 1)], "down");
    const failed = healthIn(lease);
    assert.deepEqual(failed.active, { NEW: 1, PREPARATION: 0, IN_FLIGHT: 0 }, "a partial count says nothing");
    assert.deepEqual(failed.error, { code: "UNAVAILABLE", message: "down" });
    assert.deepEqual(failed.completeAt, new Date(NOON + 800));
    lease = run(lease, NOON + 2 * MINUTE_MS, [order(2, NOON + 1), order(3, NOON + 2)]);
    assert.equal(arrivalsIn({ path: POLL_LEASE, fields: lease, version: "1" })("2026-01-01T12"), 2);
  });

  it("remembers when it first saw a waiting order if the food service returns no creation time", () => {
    const first = run({}, NOON, [order(1)]);
    const second = healthIn(run(first, NOON + MINUTE_MS, [order(1), order(2)]));
    assert.deepEqual(second.waiting, [
      { order: "orders/1", since: new Date(NOON) },
      { order: "orders/2", since: new Date(NOON + MINUTE_MS) },
    ]);
  });

  it("lists the failed runs of the last ten minutes, ten at most", () => {
    let lease: Fields = {};
    const failedRuns = () =>
      (healthIn(lease).failedRuns as Date[]).map((at) => (at.getTime() - 800 - NOON) / MINUTE_MS);
    for (const minute of [0, 2, 4]) lease = run(lease, NOON + minute * MINUTE_MS, [], "down");
    lease = run(lease, NOON + 5 * MINUTE_MS, []);
    assert.deepEqual(failedRuns(), [0, 2, 4], "they outlast a run without failures");
    lease = run(lease, NOON + 11 * MINUTE_MS, []);
    assert.deepEqual(failedRuns(), [2, 4]);
    for (let tenth = 0; tenth < 20; tenth++) lease = run(lease, NOON + (12 + tenth / 10) * MINUTE_MS, [], "down");
    assert.equal(failedRuns().length, 10);
  });

  it("reads the health that an earlier build stored, without failed runs", () => {
    const { failedRuns: _, ...earlier } = healthIn(run({}, NOON, [order(1, NOON)]));
    const health = healthIn(run({ health: earlier }, NOON + MINUTE_MS, [], "down"));
    assert.deepEqual([health.active, health.failedRuns], [earlier.active, [new Date(NOON + MINUTE_MS + 800)]]);
  });

  it("has one point for every ten minutes of the last day", () => {
    let lease: Fields = {};
    for (let minutes = 0; minutes < 2 * 24 * 60; minutes += 5) lease = run(lease, NOON + minutes * MINUTE_MS, []);
    const points = healthIn(lease).points as { at: Date }[];
    assert.equal(points.length, 144);
    assert.ok(Buffer.byteLength(JSON.stringify(lease)) < 30_000);
  });

  it("starts anew if the previous run's health can't be read", () => {
    const health = healthIn(run({ health: { at: "yesterday" } }, NOON, [order(1, NOON)]));
    assert.deepEqual(health.active, { NEW: 1, PREPARATION: 0, IN_FLIGHT: 0 });
  });
});
