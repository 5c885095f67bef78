import assert from "node:assert/strict";
import { claimFields } from "../attempts/attempt.js";
import { callError } from "../domain/errors.js";
import type { OrderStatus } from "../domain/order-lifecycle.js";
import { dispatchShipment } from "../pipeline/dispatch-shipment.js";
import type { Fields } from "../ports.js";
import type { Settings } from "../settings.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { linkEntry } from "./history.js";
import { sweep } from "./sweep.js";

const HOUR_MS = 3_600_000;

function place(bed: TestBed, id: string, status: OrderStatus): string {
  const name = `orders/${id}`;
  bed.food.orders.set(name, { name, customerId: "krithik", status });
  return name;
}

async function relate(bed: TestBed, id: string, fields: Fields = { schema: 1, state: "PREPARATION" }): Promise<void> {
  await bed.store.set(`relations/${id}`, { kitchen: `kitchenorders/${id}`, ...fields });
}

async function attempt(bed: TestBed, id: string, fields: Fields): Promise<string> {
  const { CREATE_POLICY: policy } = bed.ports.settings;
  const claim = { order: `orders/${id}`, stage: "kitchen", id: "a", policy, tries: 1 } as const;
  const path = `attempts/kitchen:${id}`;
  await bed.store.set(path, {
    ...claimFields({ ...claim, claimedAt: 0, leaseUntil: bed.clock.now() + HOUR_MS }),
    ...fields,
  });
  return path;
}

const swept = (result: Partial<Awaited<ReturnType<typeof sweep>>>) => ({
  outcome: "completed",
  closed: 0,
  expired: 0,
  waiting: 0,
  missing: 0,
  failed: 0,
  ...result,
});

describe("the sweep", () => {
  for (const status of ["CANCELLED", "REJECTED", "DELIVERED"] as const) {
    it(`closes the relation of an order that is ${status}`, async () => {
      const bed = testBed();
      place(bed, "1", status);
      await relate(bed, "1");
      assert.deepEqual(await sweep(bed.ports), swept({ closed: 1 }));
      assert.equal(await bed.store.field("relations/1", "state"), status);
      assert.deepEqual(await sweep(bed.ports), swept({}), "and is done with it");
    });
  }

  it("closes the relation that an older scheduler wrote, with only a kitchen order", async () => {
    const bed = testBed();
    place(bed, "1", "PREPARATION");
    bed.food.kitchenOrders.set("kitchens/1", { name: "kitchens/1", status: "NEW" });
    await bed.store.set("relations/1", { kitchen: "kitchens/1" });
    await dispatchShipment({ name: "orders/1", id: "1" }, bed.ports);
    place(bed, "1", "CANCELLED");
    assert.deepEqual(await sweep(bed.ports), swept({ closed: 1 }));
    assert.equal(await bed.store.field("relations/1", "state"), "CANCELLED");
  });

  for (const status of ["NEW", "PREPARATION", "IN_FLIGHT", "UNKNOWN"] as const) {
    it(`leaves the relation of an order that is ${status}`, async () => {
      const bed = testBed();
      place(bed, "1", status);
      await relate(bed, "1");
      assert.deepEqual(await sweep(bed.ports), swept({}));
      assert.equal(await bed.store.field("relations/1", "state"), "PREPARATION");
    });
  }

  it("looks up only orders that are in none of the food service's active lists", async () => {
    const bed = testBed();
    for (let count = 0; count < 50; count++) {
      place(bed, String(count), "PREPARATION");
      await relate(bed, String(count));
    }
    place(bed, "x", "CANCELLED");
    await relate(bed, "x");
    const asked: string[] = [];
    const { getOrder } = bed.food;
    bed.food.getOrder = (name) => {
      asked.push(name);
      return getOrder(name);
    };
    await sweep(bed.ports);
    assert.deepEqual(asked, ["orders/x"]);
  });

  it("checks every relation, over any number of pages", async () => {
    const bed = testBed();
    for (let count = 0; count < 700; count++) {
      place(bed, String(count), "CANCELLED");
      await relate(bed, String(count));
    }
    assert.deepEqual(await sweep(bed.ports), swept({ closed: 700 }));
  });

  describe("that runs out of time", () => {
    const ORDERS = 700;
    let bed: TestBed;
    let asked: string[];
    beforeEach(async () => {
      bed = testBed();
      asked = [];
      for (let id = 0; id < ORDERS; id++) {
        place(bed, `o${id}`, "UNKNOWN");
        await relate(bed, `o${id}`);
      }
      const { getOrder } = bed.food;
      bed.food.getOrder = async (name) => {
        asked.push(name);
        bed.clock.advance(1_000);
        return getOrder.call(bed.food, name);
      };
    });

    it("is continued by the next sweep, so every relation is checked", async () => {
      for (let sweeps = 0; sweeps < 3; sweeps++) await sweep(bed.ports);
      assert.equal(new Set(asked).size, ORDERS);
      // The third one starts anew when it has come round.
      assert.ok(asked.length >= ORDERS && asked.length <= ORDERS + 300, `${asked.length}`);
    });

    it("leaves time for attempts, which the next sweep continues too", async () => {
      for (let id = 0; id < 400; id++) {
        place(bed, `p${id}`, "CANCELLED");
        await attempt(bed, `p${id}`, { state: "FAILED", leaseUntil: null });
      }
      let closed = 0;
      for (let sweeps = 0; sweeps < 4; sweeps++) closed += (await sweep(bed.ports)).closed;
      assert.equal(closed, 400);
    });

    it("starts from the beginning if its cursor can't be read, or is past the end", async () => {
      for (const cursors of ["none", { relations: 7 }, { relations: "relations/zz", attempts: null }, null]) {
        asked = [];
        await bed.store.set("leases/sweep", { holder: "", step: 0, until: new Date(0), cursors });
        await sweep(bed.ports);
        assert.deepEqual([asked.length > 200, asked[0]], [true, "orders/o0"], JSON.stringify(cursors));
      }
    });

    it("does not end with a document that another process deleted", async () => {
      await sweep(bed.ports);
      const cursors = (await bed.store.field("leases/sweep", "cursors")) as { relations: string };
      const [last] = await bed.store.read(cursors.relations);
      assert.ok(last);
      await bed.ports.store.commit([{ kind: "delete", path: last.path, version: last.version }]);
      for (let sweeps = 0; sweeps < 2; sweeps++) await sweep(bed.ports);
      assert.equal(new Set(asked).size, ORDERS);
    });
  });

  it("continues with the other relations if one can't be read or its lookup fails", async () => {
    const bed = testBed();
    await relate(bed, "1", { schema: 2, state: "PREPARATION" });
    await relate(bed, "2");
    place(bed, "3", "CANCELLED");
    await relate(bed, "3");
    bed.food.hooks.once("getOrder", "before", () => {
      throw callError("UNAVAILABLE", "down", true);
    });
    assert.deepEqual(await sweep(bed.ports), swept({ closed: 1, failed: 2 }));
    assert.deepEqual(await bed.store.fields("relations/1"), {
      kitchen: "kitchenorders/1",
      schema: 2,
      state: "PREPARATION",
    });
    assert.equal(await bed.store.field("relations/2", "state"), "PREPARATION", "not closed for want of an answer");
  });

  it("looks up each order if a status can't be listed, and closes relations of ended orders", async () => {
    const bed = testBed();
    place(bed, "1", "CANCELLED");
    place(bed, "2", "PREPARATION");
    for (const id of ["1", "2"]) await relate(bed, id);
    bed.food.listOrders = async () => {
      throw callError("RESOURCE_EXHAUSTED", "too large", true);
    };
    assert.deepEqual(await sweep(bed.ports), swept({ closed: 1 }));
    assert.equal(await bed.store.field("relations/2", "state"), "PREPARATION");
    assert.equal(bed.lines.filter(({ level }) => level === "warn").length, 1, "one line for all statuses");
  });

  it("closes nothing while the food service can't be reached, and closes it at the next sweep", async () => {
    const bed = testBed();
    place(bed, "1", "CANCELLED");
    await relate(bed, "1");
    for (const call of ["listOrders", "getOrder"] as const) {
      bed.food.hooks.once(call, "before", () => {
        throw callError("UNAVAILABLE", "down", true);
      });
    }
    bed.food.orders.clear();
    assert.equal((await sweep(bed.ports)).failed, 1);
    assert.equal(await bed.store.field("relations/1", "state"), "PREPARATION");
    place(bed, "1", "CANCELLED");
    assert.deepEqual(await sweep(bed.ports), swept({ closed: 1 }), "the lease was given back");
  });

  it("looks at each listed order's own status when the food service ignores the filter", async () => {
    const bed = testBed();
    for (const status of ["CANCELLED", "REJECTED", "DELIVERED", "PREPARATION"] as const) {
      place(bed, status, status);
      await relate(bed, status);
    }
    bed.food.listOrders = async () => ({ orders: [...bed.food.orders.values()], nextPageToken: "" });
    assert.deepEqual(await sweep(bed.ports), swept({ closed: 3 }));
    for (const status of ["CANCELLED", "REJECTED", "DELIVERED", "PREPARATION"]) {
      assert.equal(await bed.store.field(`relations/${status}`, "state"), status, "it ended as what it ended as");
    }
    assert.deepEqual(await sweep(bed.ports), swept({}));
  });

  it("ends an endless list, and still closes relations of ended orders", async () => {
    const bed = testBed();
    place(bed, "1", "CANCELLED");
    await relate(bed, "1");
    let pages = 0;
    bed.food.listOrders = async () => ({ orders: [], nextPageToken: String(++pages) });
    assert.deepEqual(await sweep(bed.ports), swept({ closed: 1 }));
    assert.ok(pages < 1_000, `${pages} pages`);
  });

  it("does nothing while another sweep is running", async () => {
    const bed = testBed();
    let concurrent: unknown;
    bed.food.hooks.once("listOrders", "before", async () => {
      concurrent = await sweep(bed.ports);
    });
    await sweep(bed.ports);
    assert.deepEqual(concurrent, { ...swept({}), outcome: "skipped" });
  });

  it("changes nothing if the relation was changed concurrently", async () => {
    const bed = testBed();
    place(bed, "1", "CANCELLED");
    await relate(bed, "1");
    bed.store.hooks.once("query", "after", () => bed.store.set("relations/1", { note: "x" }));
    const result = await sweep(bed.ports);
    assert.equal(result.failed, 0);
  });
});

describe("the sweep of attempts", () => {
  const inState = (bed: TestBed, path: string) => bed.store.field(path, "state");

  async function bedWith(fields: Fields, status: OrderStatus = "NEW", settings: Partial<Settings> = {}) {
    const bed = testBed(settings);
    place(bed, "1", status);
    const path = await attempt(bed, "1", fields);
    return { bed, path };
  }

  it("ignores a create that is in progress", async () => {
    const { bed, path } = await bedWith({});
    assert.deepEqual(await sweep(bed.ports), swept({}));
    assert.equal(await inState(bed, path), "SENDING");
  });

  it("marks a create whose lease expired as uncertain, and reports it at every sweep until an operator decides", async () => {
    const { bed, path } = await bedWith({});
    bed.clock.advance(HOUR_MS);
    assert.deepEqual(await sweep(bed.ports), swept({ expired: 1, waiting: 1 }));
    assert.equal(await inState(bed, path), "UNCERTAIN");
    assert.deepEqual(await sweep(bed.ports), swept({ waiting: 1 }));
    const alerts = bed.lines.filter(({ level }) => level === "error");
    assert.equal(alerts.length, 2);
    assert.match(
      JSON.stringify(alerts[0]?.fields.examples),
      /^\[\{"order":"orders\/1","stage":"kitchen","state":"UNCERTAIN",/,
    );
  });

  it("logs one line with a count and five examples when many orders need an operator", async () => {
    const bed = testBed();
    for (let order = 0; order < 40; order++) {
      place(bed, String(order), "NEW");
      await attempt(bed, String(order), { state: "PARKED", leaseUntil: null });
    }
    await sweep(bed.ports);
    const alerts = bed.lines.filter(({ level }) => level === "error");
    assert.equal(alerts.length, 1);
    assert.equal(alerts[0]?.fields.waiting, 40);
    assert.ok(Array.isArray(alerts[0]?.fields.examples));
    assert.equal(alerts[0].fields.examples.length, 5);
  });

  it("leaves an expired create with a key to the next message, which resends it", async () => {
    const { bed, path } = await bedWith({}, "NEW", { CREATE_POLICY: "idempotency-key" });
    bed.clock.advance(HOUR_MS);
    assert.deepEqual(await sweep(bed.ports), swept({}));
    assert.equal(await inState(bed, path), "SENDING");
  });

  it("declares an expired create with a key uncertain if its order is no longer active", async () => {
    const { bed, path } = await bedWith({}, "CANCELLED", { CREATE_POLICY: "idempotency-key" });
    bed.clock.advance(HOUR_MS);
    assert.deepEqual(await sweep(bed.ports), swept({ expired: 1, waiting: 1 }));
    assert.equal(await inState(bed, path), "UNCERTAIN");
  });

  for (const state of ["FAILED", "PARKED"]) {
    it(`closes an attempt that is ${state} once its order has ended`, async () => {
      const { bed, path } = await bedWith({ state, leaseUntil: null }, "CANCELLED");
      assert.deepEqual(await sweep(bed.ports), swept({ closed: 1 }));
      assert.equal(await inState(bed, path), "CLOSED");
    });

    it(`leaves an attempt that is ${state} while its order is active`, async () => {
      const { bed, path } = await bedWith({ state, leaseUntil: null });
      assert.deepEqual(await sweep(bed.ports), swept({ waiting: state === "PARKED" ? 1 : 0 }));
      assert.equal(await inState(bed, path), state);
    });
  }

  it("closes a parked attempt whose link another program made", async () => {
    const { bed, path } = await bedWith({ state: "PARKED", leaseUntil: null }, "PREPARATION");
    await relate(bed, "1");
    assert.deepEqual(await sweep(bed.ports), swept({ closed: 1 }));
    assert.equal(await inState(bed, path), "CLOSED");
  });

  it("deletes a claim that was made after our link, since nothing was sent with it", async () => {
    const { bed, path } = await bedWith({}, "PREPARATION");
    await relate(bed, "1");
    const entry = linkEntry("orders/1", "kitchen", "kitchenorders/1", bed.clock.now(), "an earlier claim");
    await bed.store.commit([entry]);
    bed.clock.advance(HOUR_MS);
    assert.deepEqual(await sweep(bed.ports), swept({ closed: 1 }));
    assert.equal(await inState(bed, path), undefined);
  });

  it("declares a claim uncertain if another program made the link, since a create may have been sent", async () => {
    const { bed, path } = await bedWith({}, "PREPARATION");
    await relate(bed, "1");
    await bed.store.commit([linkEntry("orders/1", "kitchen", "kitchenorders/1", bed.clock.now())]);
    bed.clock.advance(HOUR_MS);
    assert.deepEqual(await sweep(bed.ports), swept({ expired: 1, waiting: 1 }));
    assert.equal(await inState(bed, path), "UNCERTAIN");
  });

  it("never closes an attempt that may have created something, however its order ended", async () => {
    const { bed, path } = await bedWith({ state: "UNCERTAIN", leaseUntil: null }, "CANCELLED");
    assert.deepEqual(await sweep(bed.ports), swept({ waiting: 1 }));
    assert.equal(await inState(bed, path), "UNCERTAIN");
  });

  it("leaves unreadable attempts unchanged, and continues with the others", async () => {
    const { bed } = await bedWith({ schema: 2 });
    bed.clock.advance(HOUR_MS);
    place(bed, "2", "NEW");
    await attempt(bed, "2", { leaseUntil: new Date(bed.clock.now() - 1) });
    assert.deepEqual(await sweep(bed.ports), swept({ expired: 1, waiting: 1, failed: 1 }));
    assert.equal(await bed.store.field("attempts/kitchen:1", "state"), "SENDING");
  });
});
