/** Instances that remember links, each its own: what they read, and what happens to relations that change without their knowledge. */
import assert from "node:assert/strict";
import { resolveAttempt } from "../attempts/resolve-attempt.js";
import type { CreatingStage } from "../domain/order-lifecycle.js";
import { RecentLinks } from "../link-cache.js";
import type { Ports, Store } from "../ports.js";
import { sweep } from "../relations/sweep.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { handleOrderMessage } from "./handlers.js";

const MINUTE_MS = 60_000;
const DECISION = { order: "orders/1", by: "ana", reason: "asked the kitchen" } as const;
const PLACED_AT = Date.UTC(2025, 11, 31);

/** What each stage's link makes an order wait for, and the stage whose ticks look at it. */
const WAITS = {
  kitchen: { status: "PREPARATION", tickOf: "shipment", link: "kitchenorders/first" },
  shipment: { status: "IN_FLIGHT", tickOf: "completion", link: "shipments/first" },
} as const;

/** An order that waits for its kitchen order or its shipment. */
async function waitingFor(stage: CreatingStage): Promise<TestBed> {
  const bed = testBed();
  const { status } = WAITS[stage];
  const placedAt = new Date(PLACED_AT);
  bed.food.orders.set("orders/1", { name: "orders/1", customerId: "krithik", status, placedAt });
  const isInFlight = stage === "shipment";
  bed.food.kitchenOrders.set("kitchenorders/first", {
    name: "kitchenorders/first",
    status: isInFlight ? "PACKAGED" : "NEW",
  });
  if (isInFlight) bed.food.shipments.set("shipments/first", { name: "shipments/first", status: "NEW" });
  const links = { kitchen: "kitchenorders/first", ...(isInFlight && { shipment: "shipments/first" }) };
  await bed.store.set("relations/1", { schema: 1, state: status, placedAt, ...links });
  return bed;
}

/** An instance of the functions: it shares everything but what it remembers. `reads` counts the documents that it read. */
class Instance {
  reads = 0;
  private readonly ports: Ports;

  constructor(private readonly bed: TestBed) {
    const { ports } = bed;
    this.ports = {
      ...ports,
      links: new RecentLinks(ports.clock, ports.settings),
      store: new Proxy(ports.store, {
        get: (store, method: keyof Store) => {
          const member = store[method].bind(store) as (...given: unknown[]) => unknown;
          return (...given: unknown[]) => {
            if (method === "read") this.reads += given.length;
            return member(...given);
          };
        },
      }),
    };
  }

  /** Delivers the order's message so many times, a minute apart; how many documents were read. */
  async tick(stage: CreatingStage, { times = 1, placedAt = PLACED_AT } = {}): Promise<number> {
    const before = this.reads;
    const { status, tickOf } = WAITS[stage];
    for (let tick = 0; tick < times; tick++) {
      await handleOrderMessage(tickOf, { order: "orders/1", status, placedAt }, this.ports);
      this.bed.clock.advance(MINUTE_MS);
    }
    return this.reads - before;
  }
}

const lose = (bed: TestBed, stage: CreatingStage) =>
  stage === "kitchen" ? bed.food.kitchenOrders.clear() : bed.food.shipments.clear();

const put = (bed: TestBed, stage: CreatingStage, name: string) =>
  stage === "kitchen"
    ? bed.food.kitchenOrders.set(name, { name, status: "NEW" })
    : bed.food.shipments.set(name, { name, status: "NEW" });

for (const stage of ["kitchen", "shipment"] as const) {
  const { link } = WAITS[stage];

  describe(`instances that cache the ${stage} link of an order`, () => {
    it("read no document in an idle tick, except the first of each instance", async () => {
      const bed = await waitingFor(stage);
      const [one, other] = [new Instance(bed), new Instance(bed)];
      assert.ok((await one.tick(stage)) > 0);
      assert.equal(await one.tick(stage, { times: 5 }), 0);
      assert.ok((await other.tick(stage)) > 0);
      assert.equal(await other.tick(stage, { times: 5 }), 0);
      assert.equal(bed.store.commits.length, 0);
    });

    it("read the document before they advance the order", async () => {
      const bed = await waitingFor(stage);
      const instance = new Instance(bed);
      await instance.tick(stage, { times: 2 });
      if (stage === "kitchen") bed.food.kitchenOrders.set(link, { name: link, status: "PACKAGED" });
      else bed.food.shipments.set(link, { name: link, status: "DELIVERED" });
      assert.ok((await instance.tick(stage)) > 0);
      const state = await bed.store.field("relations/1", "state");
      assert.equal(state, stage === "kitchen" ? "IN_FLIGHT" : "DELIVERED");
    });

    it("do not advance an order that another instance has advanced", async () => {
      const bed = await waitingFor(stage);
      const [one, other] = [new Instance(bed), new Instance(bed)];
      await one.tick(stage);
      await other.tick(stage);
      if (stage === "kitchen") bed.food.kitchenOrders.set(link, { name: link, status: "PACKAGED" });
      else bed.food.shipments.set(link, { name: link, status: "DELIVERED" });
      await one.tick(stage);
      await bed.food.updateOrder("orders/1", stage === "kitchen" ? "IN_FLIGHT" : "DELIVERED");
      const commits = bed.store.commits.length;
      await other.tick(stage);
      assert.equal(bed.store.commits.length, commits);
      assert.equal(bed.food.created.length, stage === "kitchen" ? 1 : 0);
    });

    it("create a replacement for a lost link when an operator retries, even if the lost one reappears", async () => {
      const bed = await waitingFor(stage);
      const [one, other] = [new Instance(bed), new Instance(bed)];
      await other.tick(stage);
      await one.tick(stage);
      lose(bed, stage);
      await one.tick(stage, { times: 90 });
      await resolveAttempt({ ...DECISION, stage }, bed.ports);
      put(bed, stage, link);
      await other.tick(stage);
      assert.equal(bed.food.created.length, 1);
      assert.notEqual(await bed.store.field("relations/1", stage), link);
    });

    it("wait for the link that an operator chose, even if the lost one reappears", async () => {
      const bed = await waitingFor(stage);
      const [one, other] = [new Instance(bed), new Instance(bed)];
      await other.tick(stage);
      await one.tick(stage);
      lose(bed, stage);
      await one.tick(stage, { times: 90 });
      put(bed, stage, `${link}-found`);
      await resolveAttempt({ ...DECISION, stage, link: `${link}-found` }, bed.ports);
      put(bed, stage, link);
      const asked: string[] = [];
      const method = stage === "kitchen" ? "getKitchenOrder" : "getShipment";
      const get = bed.food[method];
      Object.assign(bed.food, {
        [method]: (name: string) => {
          asked.push(name);
          return get(name);
        },
      });
      await one.tick(stage);
      await other.tick(stage);
      assert.deepEqual(asked, [`${link}-found`, `${link}-found`]);
    });

    it("reopen a relation that was closed as GONE when its order reappears", async () => {
      const bed = await waitingFor(stage);
      const [one, other] = [new Instance(bed), new Instance(bed)];
      await one.tick(stage);
      await other.tick(stage);
      const orders = [...bed.food.orders];
      bed.food.orders.clear();
      for (let passed = 0; passed < 90; passed += 10) {
        await sweep(bed.ports);
        bed.clock.advance(10 * MINUTE_MS);
      }
      assert.equal(await bed.store.field("relations/1", "state"), "GONE");
      for (const [name, order] of orders) bed.food.orders.set(name, order);
      await other.tick(stage);
      assert.equal(await bed.store.field("relations/1", "state"), WAITS[stage].status);
    });

    it("treat an order with another creation time as another order", async () => {
      const bed = await waitingFor(stage);
      const instance = new Instance(bed);
      await instance.tick(stage, { times: 2 });
      const later = PLACED_AT + 10 * MINUTE_MS;
      assert.ok((await instance.tick(stage, { placedAt: later })) > 0);
      assert.ok((await instance.tick(stage, { placedAt: later })) > 0, "the relation is not of that order");
    });

    it("read the document at every tick while the order has trouble", async () => {
      const bed = await waitingFor(stage);
      const report = { tries: 1, nextTryAt: new Date(bed.clock.now() + 90 * MINUTE_MS) };
      await bed.store.set("relations/1", { trouble: { report } });
      const instance = new Instance(bed);
      assert.equal(await instance.tick(stage, { times: 3 }), 3);
    });

    it("throw the error of a failed lookup, and read nothing", async () => {
      const bed = await waitingFor(stage);
      const instance = new Instance(bed);
      await instance.tick(stage);
      const unavailable = async () => {
        throw new Error("unavailable");
      };
      const { getKitchenOrder, getShipment } = bed.food;
      Object.assign(bed.food, { getKitchenOrder: unavailable, getShipment: unavailable });
      assert.equal(await instance.tick(stage).catch(() => 0), 0);
      Object.assign(bed.food, { getKitchenOrder, getShipment });
      assert.equal(await instance.tick(stage), 0);
    });
  });
}
