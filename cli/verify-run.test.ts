import assert from "node:assert/strict";
import { idempotencyKey } from "../functions/src/attempts/idempotency-key.js";
import type { OrderStatus, RelationState } from "../functions/src/domain/order-lifecycle.js";
import { parseRelation, type Relation } from "../functions/src/relations/relation.js";
import type { GroundTruth } from "../services/food-service/model/food-service-model.js";
import { type Evidence, judge } from "./verify-run.js";

const at = (second: number) => new Date(1_700_000_000_000 + second * 1000).toISOString();

type Change = GroundTruth["orders"][number]["changes"][number];
const change = (status: OrderStatus, second: number, by: Change["by"] = "orchestrator"): Change => ({
  status,
  at: at(second),
  by,
});

const NEW = change("NEW", 0, "customer");
const DELIVERED = [NEW, change("PREPARATION", 1), change("IN_FLIGHT", 10), change("DELIVERED", 20)];

/** The evidence of orders that all went well; each test spoils some of it. */
function evidence(...names: string[]): Evidence {
  const placed = names.map((name) => `orders/${name}`);
  return {
    placed,
    truth: {
      orders: placed.map((name) => ({ name, customerId: "krithik", status: "DELIVERED", changes: [...DELIVERED] })),
      kitchenOrders: placed.map((order) => ({
        name: order.replace("orders", "kitchenorders"),
        createdAt: at(0.5),
        idempotencyKey: idempotencyKey(order, "kitchen"),
        status: "PACKAGED",
        changes: [
          { status: "NEW", at: at(0.5) },
          { status: "PACKAGED", at: at(8) },
        ],
      })),
      shipments: placed.map((order) => ({
        name: order.replace("orders", "shipments"),
        createdAt: at(9),
        idempotencyKey: idempotencyKey(order, "shipment"),
        status: "DELIVERED",
        changes: [
          { status: "NEW", at: at(9) },
          { status: "DELIVERED", at: at(19) },
        ],
      })),
    },
    relations: new Map(placed.map((order) => [order, relation(order, "DELIVERED")])),
  };
}

function relation(order: string, state: RelationState): Relation {
  const id = order.replace("orders/", "");
  return parseRelation(`relations/${id}`, { kitchen: `kitchenorders/${id}`, shipment: `shipments/${id}`, state });
}

/** The first order's part of the evidence, to be spoiled. */
function first({ truth, relations, placed }: Evidence) {
  const [order] = truth.orders;
  const [kitchen] = truth.kitchenOrders;
  const [shipment] = truth.shipments;
  assert.ok(order && kitchen && shipment);
  return { order, kitchen, shipment, relation: relations.get(placed[0] as string) as Relation };
}

function becomes(order: GroundTruth["orders"][number], ...changes: Change[]): void {
  order.changes = changes;
  order.status = changes.at(-1)?.status as OrderStatus;
}

describe("the verdict over a run", () => {
  it("finds nothing wrong with a good run", () => {
    assert.deepEqual(judge(evidence("a", "b")), {
      summary: {
        orders: 2,
        delivered: 2,
        rejected: 0,
        cancelled: 0,
        kitchenOrders: 2,
        shipments: 2,
        duplicates: 0,
        lost: 0,
      },
      problems: [],
      notes: [],
    });
  });

  it("finds an order that the food service does not know", () => {
    const given = evidence("a", "b");
    given.truth.orders.pop();
    const { summary, problems } = judge(given);
    assert.equal(summary.lost, 1);
    assert.match(problems[0] ?? "", /^orders\/b is lost: the food service does not know it/);
  });

  for (const status of ["NEW", "PREPARATION", "IN_FLIGHT"] as const) {
    it(`finds an order that is still ${status}`, () => {
      const given = evidence("a");
      becomes(first(given).order, NEW, ...(status === "NEW" ? [] : [change(status, 5)]));
      const { summary, problems } = judge(given);
      assert.equal(summary.lost, 1);
      assert.match(problems.join(), new RegExp(`orders/a is lost: it is still ${status}`));
    });
  }

  it("finds a relation that is still open although its order has ended", () => {
    const given = evidence("a");
    first(given).relation.state = "IN_FLIGHT";
    const { summary, problems } = judge(given);
    assert.equal(summary.lost, 1);
    assert.match(problems.join(), /it is DELIVERED, but its relation is still IN_FLIGHT/);
  });

  it("finds a meal that was cooked twice", () => {
    const given = evidence("a");
    const { kitchen } = first(given);
    given.truth.kitchenOrders.push(
      { ...kitchen, name: "kitchenorders/again" },
      { ...kitchen, name: "kitchenorders/third" },
    );
    const { summary, problems } = judge(given);
    assert.equal(summary.duplicates, 2);
    assert.match(problems.join(), /orders\/a has 3 of its kitchen order: kitchenorders\/a, kitchenorders\/again/);
  });

  it("finds a drone that flew twice", () => {
    const given = evidence("a");
    given.truth.shipments.push({ ...first(given).shipment, name: "shipments/again" });
    assert.equal(judge(given).summary.duplicates, 1);
  });

  it("finds a resource that was created and never linked", () => {
    const given = evidence("a");
    first(given).relation.shipment = undefined;
    assert.deepEqual(judge(given).problems, ["shipments/a was created for orders/a, but its relation has no shipment"]);
  });

  it("finds a resource that was created for an order without a relation", () => {
    const given = evidence("a");
    given.relations.clear();
    assert.match(
      judge(given).problems.join(),
      /kitchenorders\/a was created for orders\/a, but its relation has no kitchen order/,
    );
  });

  it("finds a link to a resource that was never created", () => {
    const given = evidence("a");
    first(given).relation.kitchen = "kitchenorders/invented";
    assert.match(judge(given).problems.join(), /links kitchenorders\/invented, which was not created for it/);
  });

  it("finds two orders with each other's meal", () => {
    const given = evidence("a", "b");
    const [a, b] = [...given.relations.values()];
    assert.ok(a && b);
    [a.kitchen, b.kitchen] = [b.kitchen, a.kitchen];
    assert.equal(judge(given).problems.length, 2);
  });

  it("finds a create with a key of no order, and one without a key", () => {
    const given = evidence("a");
    const { kitchen, shipment } = first(given);
    given.truth.kitchenOrders.push({ ...kitchen, name: "kitchenorders/x", idempotencyKey: null });
    given.truth.shipments.push({ ...shipment, name: "shipments/x", idempotencyKey: kitchen.idempotencyKey });
    const { problems } = judge(given);
    assert.equal(problems.filter((problem) => problem.includes("no order's in that stage")).length, 2);
  });

  it("finds a drone that left before the meal was packaged", () => {
    const given = evidence("a");
    first(given).shipment.createdAt = at(7);
    assert.deepEqual(judge(given).problems, [
      "shipments/a was created for orders/a before its kitchen order was PACKAGED",
    ]);
  });

  it("finds a drone that left without a meal", () => {
    const given = evidence("a");
    given.truth.kitchenOrders.pop();
    assert.match(judge(given).problems.join(), /before its kitchen order was PACKAGED/);
  });

  for (const [what, changes] of [
    ["backwards", [NEW, change("IN_FLIGHT", 5), change("PREPARATION", 6), change("DELIVERED", 7)]],
    ["out of an end", [NEW, change("DELIVERED", 5), change("REJECTED", 6), change("DELIVERED", 7)]],
    ["to CANCELLED by us", [NEW, change("CANCELLED", 5), change("DELIVERED", 30)]],
    ["to NEW again", [NEW, change("PREPARATION", 2), change("NEW", 3), change("DELIVERED", 7)]],
    ["on long after its customer cancelled", [NEW, change("CANCELLED", 5, "customer"), change("DELIVERED", 30)]],
  ] as const) {
    it(`finds a status that went ${what}`, () => {
      const given = evidence("a");
      becomes(first(given).order, ...changes);
      assert.match(judge(given).problems.join(), /orders\/a went from \w+ to \w+, which is never allowed/);
    });
  }

  it("allows a report to skip a status that it is too late for", () => {
    const given = evidence("a");
    becomes(first(given).order, NEW, change("IN_FLIGHT", 10), change("DELIVERED", 20));
    assert.deepEqual(judge(given).problems, []);
  });

  it("only notes a cancellation that arrived while a report was in progress", () => {
    const given = evidence("a");
    becomes(
      first(given).order,
      NEW,
      change("CANCELLED", 5, "customer"),
      change("IN_FLIGHT", 5.3),
      change("DELIVERED", 20),
    );
    const { problems, notes } = judge(given);
    assert.deepEqual(problems, []);
    assert.match(notes[0] ?? "", /its customer cancelled 300 ms before a report/);
  });

  it("finds an order whose final status is not its shipment's", () => {
    const given = evidence("a");
    first(given).shipment.status = "REJECTED";
    assert.deepEqual(judge(given).problems, ["orders/a is DELIVERED, but its shipment is REJECTED"]);
  });

  it("finds a relation whose final state is not its order's", () => {
    const given = evidence("a");
    first(given).relation.state = "REJECTED";
    assert.deepEqual(judge(given).problems, ["orders/a is DELIVERED, but its relation is REJECTED"]);
  });

  it("accepts a cancelled order with a closed relation or none", () => {
    const given = evidence("a", "b");
    for (const order of given.truth.orders) becomes(order, NEW, change("CANCELLED", 2, "customer"));
    const { relation } = first(given);
    relation.state = "CANCELLED";
    given.relations.delete("orders/b");
    given.truth.kitchenOrders.pop();
    given.truth.shipments.pop();
    const { summary, problems } = judge(given);
    assert.deepEqual(problems, []);
    assert.equal(summary.cancelled, 2);
    assert.equal(summary.lost, 0);
  });

  it("reports a relation of an order that was never placed", () => {
    const given = evidence("a");
    given.relations.set("orders/ghost", relation("orders/ghost", "GONE"));
    assert.deepEqual(judge(given).problems, [
      "There is a relation of orders/ghost, which the food service does not know",
    ]);
  });
});
