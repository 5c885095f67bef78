import assert from "node:assert/strict";
import type { OrderStatus, RelationState } from "../domain/order-lifecycle.js";
import { ReportLag } from "./report-lag.js";

const NOW = Date.parse("2026-01-01T12:00:00Z");

const relation = (state: RelationState | undefined, secondsAgo: number) => ({
  order: "orders/1",
  kitchen: "k/1",
  shipment: undefined,
  state,
  customerId: undefined,
  placedAt: undefined,
  customer: undefined,
  times: state ? { [state]: new Date(NOW - secondsAgo * 1000) } : {},
  discarded: {},
  trouble: {},
});

function lagOf(...seen: [RelationState | undefined, number, OrderStatus | undefined][]) {
  const lag = new ReportLag(NOW);
  for (const [state, secondsAgo, status] of seen) lag.see(relation(state, secondsAgo), status);
  const { unreported, reportLagMs } = lag.fieldsAt(NOW).health as { unreported: number; reportLagMs: number };
  return [unreported, reportLagMs];
}

describe("the report lag", () => {
  it("is the age of the oldest state that the food service does not show yet", () => {
    assert.deepEqual(lagOf(["PREPARATION", 20, "NEW"], ["IN_FLIGHT", 90, "PREPARATION"]), [2, 90_000]);
  });

  it("counts a state that was reached when the orders were listed", () => {
    assert.deepEqual(lagOf(["PREPARATION", 0, "NEW"]), [1, 0]);
  });

  it("is zero if the food service shows every state, or a later one", () => {
    assert.deepEqual(lagOf(["PREPARATION", 20, "PREPARATION"], ["PREPARATION", 20, "IN_FLIGHT"]), [0, 0]);
  });

  it("ignores relations without a state or its time, and states that are not reported", () => {
    assert.deepEqual(lagOf([undefined, 20, "NEW"], ["CANCELLED", 20, "NEW"]), [0, 0]);
    const lag = new ReportLag(NOW);
    lag.see({ ...relation("PREPARATION", 20), times: {} }, "NEW");
    assert.deepEqual(lag.fieldsAt(NOW).health, { at: new Date(NOW), unreported: 0, reportLagMs: 0 });
  });

  it("ignores states that were reached after the orders were listed, and orders that were not listed", () => {
    assert.deepEqual(lagOf(["PREPARATION", -1, "NEW"], ["PREPARATION", 60, undefined]), [0, 0]);
  });
});
