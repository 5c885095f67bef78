import assert from "node:assert/strict";
import { mock } from "node:test";
import { callError } from "../../domain/errors.js";
import type { FoodService, OrderMessage } from "../../ports.js";
import { relationPath } from "../../relations/relation.js";
import { testBed } from "../../testing/test-bed.js";
import { InProcessPlatform } from "./platform.js";
import { MemoryStore } from "./store.js";

/** Lets everything that is due happen. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe("the platform in one process", () => {
  let bed: ReturnType<typeof testBed>;
  let store: MemoryStore;
  let platform: InProcessPlatform;
  let asked: string[];
  let getKitchenOrder: FoodService["getKitchenOrder"];

  beforeEach(async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    bed = testBed();
    asked = [];
    getKitchenOrder = () => Promise.reject(callError("UNAVAILABLE", "try later", true));
    const food: FoodService = {
      ...bed.food,
      getKitchenOrder: (name) => {
        asked.push(name);
        return getKitchenOrder(name);
      },
    };
    const { bus: _, store: __, ...outside } = bed.ports;
    platform = new InProcessPlatform({ ...outside, food }, (deliver) => {
      store = new MemoryStore((change) => void deliver(change));
      return store;
    });
    for (let number = 0; number < 300; number++) {
      const name = `orders/${number}`;
      bed.food.orders.set(name, { name, customerId: "krithik", status: "PREPARATION" });
      const fields = { schema: 1, kitchen: `kitchenorders/${number}`, state: "PREPARATION", times: {} };
      await store.commit([{ kind: "create", path: relationPath(String(number)), fields }]);
    }
    await settle();
  });
  afterEach(async () => {
    mock.timers.reset();
    await platform.stop(0);
  });

  const tick = async () => {
    await platform.run("pollOrders");
    await settle();
  };

  it("sends one call per order and tick while every call fails, however many ticks there were", async () => {
    for (let round = 1; round <= 20; round++) {
      await tick();
      assert.equal(asked.length, 300 * round);
      mock.timers.tick(5_000);
      await settle();
    }
    assert.equal(asked.length, 300 * 20);
  });

  it("retries after 10 s, 20 s and 40 s if no poll publishes the order again", async () => {
    await tick();
    const after: number[] = [];
    for (let seconds = 1; seconds <= 75; seconds++) {
      const before = asked.length;
      mock.timers.tick(1_000);
      await settle();
      if (asked.length > before) after.push(seconds);
    }
    assert.deepEqual(after, [10, 30, 70]);
  });

  it("handles 20 messages at a time, and each order once however often polls publish it", async () => {
    const answers: (() => void)[] = [];
    getKitchenOrder = (name) => new Promise((resolve) => answers.push(() => resolve({ name, status: "NEW" })));
    await tick();
    await tick();
    assert.equal(asked.length, 20, "no more than 20 at a time");
    for (let order = 0; order < 300; order++) {
      answers[order]?.();
      await settle();
    }
    assert.equal(asked.length, 300, "each order once, although two polls brought it");
    assert.equal(new Set(asked).size, 300);
  });

  it("redelivers a change until its reaction succeeds", async () => {
    bed.food.hooks.once("updateOrder", "before", () => {
      throw callError("UNAVAILABLE", "try later", true);
    });
    bed.food.orders.set("orders/new", { name: "orders/new", customerId: "krithik", status: "NEW" });
    const fields = { schema: 1, kitchen: "kitchenorders/new", state: "PREPARATION", times: {} };
    await store.commit([{ kind: "create", path: relationPath("new"), fields }]);
    await settle();
    assert.equal(bed.food.orders.get("orders/new")?.status, "NEW");
    mock.timers.tick(10_000);
    await settle();
    assert.equal(bed.food.orders.get("orders/new")?.status, "PREPARATION");
  });

  it("waits for running deliveries when it stops", async () => {
    let answer = () => {};
    getKitchenOrder = (name) => new Promise((resolve) => (answer = () => resolve({ name, status: "NEW" })));
    const message: OrderMessage = { order: "orders/1", status: "PREPARATION" };
    bed.food.orders.clear();
    bed.food.orders.set(message.order, { name: message.order, customerId: "krithik", status: "PREPARATION" });
    await tick();
    let stopped = false;
    const stopping = platform.stop(60_000).then(() => (stopped = true));
    await settle();
    assert.equal(stopped, false);
    answer();
    await stopping;
  });
});
