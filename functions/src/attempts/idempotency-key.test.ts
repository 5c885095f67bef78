import assert from "node:assert/strict";
import { idempotencyKey } from "./idempotency-key.js";

describe("the idempotency key", () => {
  it("is the same in every build, since a changed key would create again", () => {
    assert.equal(idempotencyKey("orders/7f3c", "kitchen"), "0edd4381-5eab-5251-8976-eedc2c0c2ef7");
    assert.equal(idempotencyKey("orders/7f3c", "shipment"), "7e54e136-b76a-5007-a87c-4aba3d037786");
  });

  it("differs between orders and between stages", () => {
    const keys = ["orders/1", "orders/2", "orders/1 kitchen"].flatMap((order) => [
      idempotencyKey(order, "kitchen"),
      idempotencyKey(order, "shipment"),
    ]);
    assert.equal(new Set(keys).size, keys.length);
    for (const key of keys) assert.match(key, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});
