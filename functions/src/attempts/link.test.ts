import assert from "node:assert/strict";
import { orderRefFromId } from "../domain/resource-names.js";
import { documentBytes, MAX_DOCUMENT_BYTES } from "../firestore-limits.js";
import type { Fields, Order } from "../ports.js";
import { testBed } from "../testing/test-bed.js";
import { hasRoomForLink, linkWrite } from "./link.js";

const PATH = "relations/1";
const REF = orderRefFromId("1");
const PLACED_AT = new Date("2026-01-01T00:00:00Z");
const ORDER: Order = { name: "orders/1", customerId: "ada", status: "NEW", placedAt: PLACED_AT };
const { ports, clock } = testBed();
const NOW = new Date(clock.now());

/** A relation of exactly so many bytes. */
function relationOf(bytes: number) {
  const rest = documentBytes(PATH, { notes: "" });
  return { path: PATH, version: "7", fields: { notes: "x".repeat(bytes - rest) } };
}

function write(
  fields?: Fields,
  { stage = "kitchen", order = ORDER }: { stage?: "kitchen" | "shipment"; order?: Order } = {},
) {
  const snapshot = fields && { path: PATH, version: "7", fields };
  return linkWrite(
    { stage, ref: REF, order },
    snapshot,
    stage === "kitchen" ? "kitchenorders/1" : "shipments/1",
    ports,
  );
}

const fieldsOf = (given: ReturnType<typeof linkWrite>): Fields => ("fields" in given ? given.fields : {});

describe("a relation", () => {
  it("has room for a link up to 16 KiB below Firestore's limit", () => {
    assert.equal(hasRoomForLink(undefined), true);
    assert.equal(hasRoomForLink(relationOf(MAX_DOCUMENT_BYTES - 16_384)), true);
    assert.equal(hasRoomForLink(relationOf(MAX_DOCUMENT_BYTES - 16_383)), false);
  });
});

describe("the write of a link", () => {
  it("creates the relation, with the order's customer and creation time", () => {
    assert.deepEqual(write(), {
      kind: "create",
      path: PATH,
      fields: {
        kitchen: "kitchenorders/1",
        customerId: "ada",
        placedAt: PLACED_AT,
        schema: 1,
        state: "PREPARATION",
        times: { PREPARATION: NOW },
      },
    });
  });

  it("updates the relation that was read, and preserves the times of its states", () => {
    const times = { PREPARATION: new Date(5) };
    const updated = write(
      { schema: 1, state: "PREPARATION", kitchen: "kitchenorders/1", times },
      { stage: "shipment" },
    );
    assert.deepEqual([updated.kind, "version" in updated && updated.version], ["update", "7"]);
    const { state, shipment, times: both } = fieldsOf(updated);
    assert.deepEqual(
      { state, shipment, both },
      {
        state: "IN_FLIGHT",
        shipment: "shipments/1",
        both: { ...times, IN_FLIGHT: NOW },
      },
    );
    assert.deepEqual(
      Object.keys(fieldsOf(updated)).filter((name) => name === "trouble" || name === "discarded"),
      [],
    );
  });

  it("leaves a closed relation closed", () => {
    const { state, times, kitchen } = fieldsOf(write({ schema: 1, state: "CANCELLED" }));
    assert.deepEqual({ state, times, kitchen }, { state: undefined, times: undefined, kitchen: "kitchenorders/1" });
  });

  it("leaves out a customer and a time that can't be stored", () => {
    const order = { ...ORDER, customerId: "\ud800", placedAt: new Date("0000-01-01T00:00:00Z") };
    const { customerId, placedAt } = fieldsOf(write(undefined, { order }));
    assert.deepEqual([customerId, placedAt], [undefined, undefined]);
  });

  it("ends the trouble of a missing link, and no other", () => {
    const looks = { since: new Date(1), last: new Date(2), looks: 2 };
    const trouble = { missingLink: { ...looks, name: "kitchenorders/0" }, missing: looks };
    const relation = { schema: 1, state: "PREPARATION", kitchen: "kitchenorders/0", trouble };
    assert.deepEqual(fieldsOf(write(relation)).trouble, { missing: looks });
    assert.equal("trouble" in fieldsOf(write({ ...relation, trouble: { missing: looks } })), false);
  });

  it("counts again though the same name was discarded, and leaves the other stage's discarded", () => {
    const discarded = { kitchen: "kitchenorders/1", shipment: "shipments/0" };
    const relation = { schema: 1, state: "PREPARATION", ...discarded, discarded };
    assert.deepEqual(fieldsOf(write(relation)).discarded, { shipment: "shipments/0" });
    const other = { ...relation, discarded: { shipment: "shipments/0" } };
    assert.equal("discarded" in fieldsOf(write(other)), false);
  });
});
