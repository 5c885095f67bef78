import assert from "node:assert/strict";
import type { FoodService } from "../ports.js";
import type { Relation } from "./relation.js";
import { reportAgain, reportStatus } from "./report-status.js";

describe("reporting a status", () => {
  /** A food service that acknowledges every update and ignores it. */
  function ignoring(): { food: FoodService; updates: string[] } {
    const updates: string[] = [];
    const food = {
      getOrder: async (name: string) => ({ name, status: "NEW" }),
      updateOrder: async (name: string, status: string) => void updates.push(`${name} ${status}`),
    } as unknown as FoodService;
    return { food, updates };
  }
  const relation = { order: "orders/1", state: "PREPARATION", kitchen: "kitchenorders/1" } as Relation;

  it("is an outcome of its own: the order advanced before", async () => {
    assert.deepEqual(await reportStatus(relation, ignoring()), { outcome: "reported", to: "PREPARATION" });
  });

  it("happens on every poll if the food service ignores it, and each repetition counts as skipped", async () => {
    const { food, updates } = ignoring();
    for (let poll = 1; poll <= 3; poll++) {
      const outcome = await reportAgain(relation, { food });
      assert.deepEqual(outcome, { outcome: "skipped", reason: "PREPARATION is reported again" });
      assert.equal(updates.length, poll);
    }
  });
});
