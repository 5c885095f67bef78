import assert from "node:assert/strict";
import type { Document } from "../harness/emulators/firestore-rest.js";
import { countsIn, lineOf } from "./order-counts.js";

const relation = (fields: Document["fields"], id = "x"): Document => ({ path: `relations/${id}`, fields });
const attempt = (state: string): Document => ({
  path: "attempts/kitchen:x",
  fields: { schema: 1, order: "orders/x", stage: "kitchen", id: "1", state, policy: "park", tries: 1 },
});

describe("counting orders", () => {
  it("counts by state", () => {
    const kitchen = "kitchenorders/1";
    const counts = countsIn(
      [
        relation({ schema: 1, kitchen, state: "PREPARATION" }),
        relation({ schema: 1, kitchen, shipment: "shipments/1", state: "DELIVERED" }),
        relation({ schema: 1, state: "CANCELLED" }),
      ],
      [],
    );
    assert.equal(lineOf(counts), "0 new, 1 in preparation, 0 in flight, 1 delivered, 0 rejected, 1 cancelled");
  });

  it("counts an order as new until it has a relation or needs an operator", () => {
    const relations = [relation({ kitchen: "kitchenorders/1", state: "PREPARATION" }, "1")];
    const counts = countsIn(relations, [attempt("PARKED")], ["orders/1", "orders/2", "orders/x"]);
    assert.equal(counts.NEW, 1);
    assert.match(lineOf(counts), /^1 new, 1 in preparation, /);
  });

  it("counts documents of an older scheduler, which have links and no state", () => {
    const counts = countsIn([relation({ kitchen: "kitchens/1" }), relation({ kitchen: "k", shipment: "s" })], []);
    assert.equal(counts.PREPARATION, 1);
    assert.equal(counts.IN_FLIGHT, 1);
  });

  it("shows what waits for a person, and no other attempt", () => {
    const states = ["SENDING", "FAILED", "CLOSED", "PARKED", "UNCERTAIN"];
    const counts = countsIn([], states.map(attempt));
    assert.match(lineOf(counts), /, 2 waiting for an operator$/);
  });

  it("shows a document that it can't read instead of failing on it", () => {
    const counts = countsIn([relation({ state: "PURPLE" })], [{ path: "attempts/kitchen:y", fields: {} }]);
    assert.match(lineOf(counts), /, 2 unreadable$/);
  });
});
