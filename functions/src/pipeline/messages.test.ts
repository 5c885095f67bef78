import assert from "node:assert/strict";
import fc from "fast-check";
import { callError, ValidationError } from "../domain/errors.js";
import type { OrderMessage } from "../ports.js";
import { testBed } from "../testing/test-bed.js";
import { handleStageMessage } from "./handlers.js";
import { packOrders, parseContinuation, parseOrderMessage, unpackOrders } from "./messages.js";

const ORDER = { order: "orders/7f3c", status: "NEW" };
const POSITION = { status: "NEW", pageToken: "next", pageSize: 500, pages: 0 };
const CONTINUATION = { holder: "a", step: 0, statuses: ["NEW", "IN_FLIGHT"], pageToken: "next" };

function refuses(parse: (payload: unknown) => unknown, payload: unknown, says: RegExp = /not a valid message/) {
  assert.throws(
    () => parse(payload),
    (error: unknown) => {
      assert.ok(error instanceof ValidationError, String(error));
      assert.match(error.message, says);
      return true;
    },
  );
}

/** What JSON can bring, keys such as __proto__ among it. */
const hostile = fc.oneof(
  fc.jsonValue(),
  fc.json().map((text) => JSON.parse(text.replace(/"[a-z]+":/, '"__proto__":')) as unknown),
);

describe("an order message", () => {
  it("names an order and the id of its documents", () => {
    assert.deepEqual(parseOrderMessage(ORDER), { name: ORDER.order, id: "7f3c" });
  });

  it("may have unknown fields, which are ignored", () => {
    const payload: unknown = JSON.parse(
      '{"order":"orders/1","status":"NEW","id":"2","__proto__":{"order":"orders/3"}}',
    );
    assert.deepEqual(parseOrderMessage(payload), { name: "orders/1", id: "1" });
  });

  const wrong: [why: string, payload: unknown][] = [
    ["it is nothing", undefined],
    ["it is null", null],
    ["it is text", JSON.stringify(ORDER)],
    ["it is a list", [ORDER]],
    ["it is empty", {}],
    ["the order is missing", { status: "NEW" }],
    ["the order is a number", { ...ORDER, order: 7 }],
    ["the order has no prefix", { ...ORDER, order: "7f3c" }],
    ["the order's id leads to another document", { ...ORDER, order: "orders/a/history/b" }],
    ["the order's id is reserved", { ...ORDER, order: "orders/__proto__" }],
    ["the order's name is huge", { ...ORDER, order: `orders/${"x".repeat(10_000_000)}` }],
    ["the status is missing", { order: "orders/1" }],
    ["the status is not one on the way", { ...ORDER, status: "DELIVERED" }],
    ["the status is a wire number", { ...ORDER, status: 1 }],
    ["the status is inherited by every object", { ...ORDER, status: "constructor" }],
    ["order and status come by inheritance only", JSON.parse(`{"__proto__":${JSON.stringify(ORDER)}}`)],
  ];
  for (const [why, payload] of wrong) it(`is refused if ${why}`, () => refuses(parseOrderMessage, payload));

  it("says what the name of an order looks like if it has another name", () => {
    refuses(parseOrderMessage, { ...ORDER, order: "7f3c" }, /must be an order's name, such as orders\/7f3c/);
  });

  it("is rejected with an error short enough for the log, however large it is", () => {
    try {
      parseOrderMessage({ order: "x".repeat(1_000_000), status: "y".repeat(1_000_000) });
      assert.fail("it was taken");
    } catch (error) {
      const { length } = (error as Error).message;
      assert.ok(error instanceof ValidationError && length < 10_000, `${length} characters`);
    }
  });

  it("is parsed or rejected with a ValidationError, whatever JSON it is", () => {
    const payload = fc.oneof(
      hostile,
      fc.record({ order: fc.oneof(hostile, fc.string()), status: hostile }, { requiredKeys: [] }),
    );
    fc.assert(
      fc.property(payload, (given) => {
        try {
          const { name, id } = parseOrderMessage(given);
          assert.equal(name, `orders/${id}`);
        } catch (error) {
          assert.ok(error instanceof ValidationError, String(error));
        }
        assert.equal(({} as { order?: unknown }).order, undefined);
      }),
      { numRuns: 500 },
    );
  });
});

describe("a continuation", () => {
  it("contains the positions to continue from", () => {
    for (const given of [CONTINUATION, { ...CONTINUATION, positions: [POSITION] }])
      assert.deepEqual(parseContinuation(given), given);
  });

  it("continues without its progress if that can't be read", () => {
    assert.equal(parseContinuation({ ...CONTINUATION, progress: "much" }).progress, undefined);
  });

  const wrong: [why: string, payload: unknown][] = [
    ["it is nothing", undefined],
    ["it is an order message", ORDER],
    ["there is no status to list", { ...CONTINUATION, statuses: [] }],
    ["a status is not one on the way", { ...CONTINUATION, statuses: ["NEW", "CANCELLED"] }],
    ["the statuses are text", { ...CONTINUATION, statuses: "NEW" }],
    ["the page token is a number", { ...CONTINUATION, pageToken: 5 }],
    ["the page token is missing", { holder: "a", step: 0, statuses: ["NEW"] }],
    ["the step is not whole", { ...CONTINUATION, step: 0.5 }],
    ["the step is text", { ...CONTINUATION, step: "0" }],
    ["there are no positions", { ...CONTINUATION, positions: [] }],
    ["a page size is negative", { ...CONTINUATION, positions: [{ ...POSITION, pageSize: -1 }] }],
    ["a page size is not whole", { ...CONTINUATION, positions: [{ ...POSITION, pageSize: 0.5 }] }],
    ["a number of pages is negative", { ...CONTINUATION, positions: [{ ...POSITION, pages: -1 }] }],
    ["the holder is missing", { ...CONTINUATION, holder: null }],
    ["the holder is empty, as in a released lease", { ...CONTINUATION, holder: "" }],
  ];
  for (const [why, payload] of wrong) it(`is refused if ${why}`, () => refuses(parseContinuation, payload));

  it("is parsed or rejected with a ValidationError, whatever JSON it is", () => {
    const payload = fc.oneof(
      hostile,
      fc.record({ holder: hostile, step: hostile, statuses: hostile, pageToken: hostile }, { requiredKeys: [] }),
    );
    fc.assert(
      fc.property(payload, (given) => {
        try {
          parseContinuation(given);
        } catch (error) {
          assert.ok(error instanceof ValidationError, String(error));
        }
      }),
    );
  });
});

describe("orders that share a message", () => {
  const numbered = (count: number): OrderMessage[] =>
    Array.from({ length: count }, (_, index) => ({ order: `orders/${index}`, status: "PREPARATION", placedAt: index }));

  for (const stage of ["shipment", "completion"] as const) {
    it(`are at most 25 for the stage ${stage}, and none is lost or duplicated`, () => {
      fc.assert(
        fc.property(fc.integer({ min: 0, max: 120 }), (count) => {
          const payloads = packOrders(stage, numbered(count));
          const unpacked = payloads.map((payload) => unpackOrders(JSON.parse(JSON.stringify(payload))));
          assert.ok(unpacked.every((orders) => orders.length <= 25));
          assert.deepEqual(unpacked.flat(), numbered(count));
          assert.equal(payloads.length, Math.ceil(count / 25));
        }),
      );
    });
  }

  it("are never new orders", () => {
    assert.deepEqual(packOrders("kitchen", numbered(3)), numbered(3));
  });

  it("use the original format if there is only one", () => {
    assert.deepEqual(packOrders("completion", numbered(1)), numbered(1));
  });

  for (const [why, payload] of [
    ["has no orders", { orders: [] }],
    ["has orders that are no list", { orders: { order: "orders/1" } }],
    ["is a list", numbered(2)],
    ["is null", null],
    ["has more orders than any message of ours", { orders: Array.from({ length: 1_001 }, () => ORDER) }],
  ] as [string, unknown][]) {
    it(`are not found in a payload that ${why}, which is rejected as it is`, () => {
      assert.deepEqual(unpackOrders(payload), [payload]);
      refuses(parseOrderMessage, unpackOrders(payload)[0]);
    });
  }

  it("are handled independently, and redelivered together if one of them fails", async () => {
    const bed = testBed();
    for (const id of ["1", "2", "3"]) {
      bed.food.orders.set(`orders/${id}`, { name: `orders/${id}`, customerId: "krithik", status: "PREPARATION" });
      bed.food.kitchenOrders.set(`kitchenorders/${id}`, { name: `kitchenorders/${id}`, status: "PACKAGED" });
      await bed.store.set(`relations/${id}`, { schema: 1, state: "PREPARATION", kitchen: `kitchenorders/${id}` });
    }
    const orders = ["1", "2", "3"].map((id) => ({ order: `orders/${id}`, status: "PREPARATION" }));
    const payload = { orders: [{ order: 7 }, null, ...orders] };
    bed.food.hooks.once("getKitchenOrder", "before", () => {
      throw callError("UNAVAILABLE", "not now", true);
    });
    await assert.rejects(handleStageMessage("shipment", payload, bed.ports), { code: "UNAVAILABLE" });
    assert.equal(bed.food.created.length, 2);
    await handleStageMessage("shipment", payload, bed.ports);
    assert.equal(bed.food.created.length, 3);
    assert.equal(bed.lines.filter(({ fields }) => fields.outcome === "quarantined").length, 4, "two, twice");
  });
});
