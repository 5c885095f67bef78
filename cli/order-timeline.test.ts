import assert from "node:assert/strict";
import { parseRelation } from "../functions/src/relations/relation.js";
import { pathOf } from "./order-timeline.js";

const at = (second: number) => new Date(1_700_000_000_000 + second * 1000).toISOString();

describe("an order's timeline", () => {
  it("lists all events in order", () => {
    const order = {
      name: "orders/a",
      customerId: "krithik",
      status: "IN_FLIGHT" as const,
      changes: [
        { status: "NEW" as const, at: at(0), by: "customer" as const },
        { status: "PREPARATION" as const, at: at(1.25), by: "orchestrator" as const },
        { status: "IN_FLIGHT" as const, at: at(10), by: "orchestrator" as const },
      ],
    };
    const kitchen = {
      name: "kitchenorders/a",
      createdAt: at(1),
      idempotencyKey: null,
      status: "PACKAGED" as const,
      changes: [
        { status: "NEW" as const, at: at(1) },
        { status: "PACKAGED" as const, at: at(9.04) },
      ],
    };
    const relation = parseRelation("relations/a", {
      kitchen: "kitchenorders/a",
      state: "PREPARATION",
      customer: { name: "krithik", class: "7", roll: 70 },
      times: { PREPARATION: new Date(at(1.1)) },
    });
    assert.equal(
      pathOf(order, relation, { orders: [order], kitchenOrders: [kitchen], shipments: [] }),
      "orders/a krithik (class 7)  0.0 NEW, 1.3 PREPARATION (1.1), 9.0 meal packaged, 10.0 IN_FLIGHT",
    );
  });

  it("includes an order without a relation", () => {
    const changes = [{ status: "NEW" as const, at: at(0), by: "customer" as const }];
    const order = { name: "orders/a", customerId: "x", status: "NEW" as const, changes };
    const truth = { orders: [order], kitchenOrders: [], shipments: [] };
    assert.equal(pathOf(order, undefined, truth), "orders/a x (not asked for)  0.0 NEW");
  });
});
