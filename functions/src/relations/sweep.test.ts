import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { claimFields } from "../attempts/attempt.js";
import { ConflictError, callError, NoSlotError, StoreError } from "../domain/errors.js";
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

/** The names of the orders that the food service is asked for from now on, in this order. */
function recordLookups(bed: TestBed, onLookup = () => {}): string[] {
  const asked: string[] = [];
  const { getOrder } = bed.food;
  bed.food.getOrder = (name) => {
    asked.push(name);
    onLookup();
    return getOrder(name);
  };
  return asked;
}

/** Makes commits that write to this document fail. */
function failCommitsTo(bed: TestBed, path: string): void {
  const { store } = bed;
  bed.ports.store = {
    read: (...paths) => store.read(...paths),
    query: (query) => store.query(query),
    count: (matching) => store.count(matching),
    commit: (writes) =>
      writes.some((write) => write.path === path) ? Promise.reject(new StoreError("down")) : store.commit(writes),
  };
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
    const asked = recordLookups(bed);
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

  it("checks each relation once, over any number of pages and from any cursor", async () => {
    const UNREADABLE = { relations: 7, attempts: 7 };
    for (const cursors of [
      null,
      { relations: "relations/r150" },
      { relations: "relations/r350" },
      {},
      "none",
      UNREADABLE,
    ]) {
      const bed = testBed();
      for (let count = 100; count < 450; count++) await relate(bed, `r${count}`);
      await bed.store.set("leases/sweep", { holder: "", step: 0, until: new Date(0), cursors });
      assert.equal((await sweep(bed.ports)).missing, 350, JSON.stringify(cursors));
      assert.deepEqual(await bed.store.field("leases/sweep", "cursors"), { relations: null, attempts: null });
    }
  });

  it("reads 300 documents at a time", async () => {
    const bed = testBed();
    const limits = new Set<number>();
    const { store } = bed;
    bed.ports.store.query = (query) => {
      limits.add(query.limit);
      return store.memory.query(query);
    };
    await sweep(bed.ports);
    assert.deepEqual([...limits], [300]);
  });

  it("forgets that an order was missing once it is listed, and nothing else", async () => {
    const activeAgain = new Date(5);
    const missing = { since: new Date(0), last: new Date(0), looks: 2 };
    const bed = testBed();
    place(bed, "1", "PREPARATION");
    await relate(bed, "1", { schema: 1, state: "PREPARATION", trouble: { missing, activeAgain } });
    failCommitsTo(bed, "relations/1");
    assert.deepEqual(await sweep(bed.ports), swept({ failed: 1 }));
    bed.ports.store = bed.store;
    assert.deepEqual(await sweep(bed.ports), swept({}));
    assert.deepEqual(await bed.store.field("relations/1", "trouble"), { activeAgain });
  });

  it("continues with relations where the last sweep stopped, even if the cursor of attempts can't be read", async () => {
    const bed = testBed();
    for (const id of ["1", "2", "3"]) await relate(bed, id);
    const cursors = { relations: "relations/1", attempts: 7 };
    await bed.store.set("leases/sweep", { holder: "", step: 0, until: new Date(0), cursors });
    const asked = recordLookups(bed);
    await sweep(bed.ports);
    assert.deepEqual(asked, ["orders/2", "orders/3", "orders/1"]);
  });

  it("looks an order up again for its attempt if the lookup for its relation failed", async () => {
    const bed = testBed();
    place(bed, "1", "CANCELLED");
    await relate(bed, "1");
    await attempt(bed, "1", { state: "FAILED", leaseUntil: null });
    bed.food.hooks.once("getOrder", "before", () => Promise.reject(callError("UNAVAILABLE", "down", true)));
    assert.deepEqual(await sweep(bed.ports), swept({ closed: 1, failed: 1 }));
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

  /** Links the order as a claim of ours did. */
  async function linkByClaim(bed: TestBed): Promise<void> {
    await relate(bed, "1");
    await bed.store.memory.commit([linkEntry("orders/1", "kitchen", "kitchenorders/1", 0, "a")]);
  }

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
    const reason = { code: "LEASE_EXPIRED", message: "the lease expired before an answer was recorded" };
    assert.deepEqual([await inState(bed, path), await bed.store.field(path, "reason")], ["UNCERTAIN", reason]);
    assert.deepEqual(await sweep(bed.ports), swept({ waiting: 1 }));
    const alerts = bed.lines.filter(({ level }) => level === "error");
    assert.equal(alerts.length, 2);
    assert.equal(alerts[0]?.message, "Operator action required: 1 attempt is waiting");
    const examples = [{ order: "orders/1", stage: "kitchen", state: "UNCERTAIN", reason }];
    assert.deepEqual(alerts[0].fields, { component: "sweep", outcome: "needs_operator", waiting: 1, examples });
  });

  it("logs one line with a count and five examples when many orders need an operator", async () => {
    const bed = testBed();
    for (let order = 0; order < 40; order++) {
      place(bed, String(order), "NEW");
      await attempt(bed, String(order), { state: "PARKED", leaseUntil: null, reason: { code: "42", message: "no" } });
    }
    await sweep(bed.ports);
    const alerts = bed.lines.filter(({ level }) => level === "error");
    assert.equal(alerts.length, 1);
    assert.equal(alerts[0]?.fields.waiting, 40);
    assert.equal(alerts[0].message, "Operator action required: 40 attempts are waiting");
    assert.ok(Array.isArray(alerts[0]?.fields.examples));
    assert.equal(alerts[0].fields.examples.length, 5);
    const order = bed.store.memory.all("attempts")[0]?.fields.order;
    const example = { order, stage: "kitchen", state: "PARKED", reason: { code: "42", message: "no" } };
    assert.deepEqual(alerts[0].fields.examples[0], example);
  });

  for (const [what, fields, status] of [
    ["deleted", { leaseUntil: new Date(0) }, "NEW"],
    ["changed", { state: "FAILED", leaseUntil: null }, "CANCELLED"],
  ] as const) {
    it(`counts an attempt that can't be ${what} as failed`, async () => {
      const { bed, path } = await bedWith(fields, status);
      if (what === "deleted") await linkByClaim(bed);
      failCommitsTo(bed, path);
      assert.equal((await sweep(bed.ports)).failed, 1);
      bed.ports.store = bed.store;
      assert.equal((await sweep(bed.ports)).failed, 0);
      assert.equal(await inState(bed, path), what === "deleted" ? undefined : "CLOSED");
    });
  }

  it("leaves a claim beside the link that it made until its lease expires", async () => {
    const { bed, path } = await bedWith({});
    await linkByClaim(bed);
    assert.deepEqual(await sweep(bed.ports), swept({}));
    assert.equal(await inState(bed, path), "SENDING");
    bed.clock.advance(HOUR_MS);
    assert.deepEqual(await sweep(bed.ports), swept({ closed: 1 }));
    assert.equal(await inState(bed, path), undefined);
  });

  it("reads no history for a claim without a link", async () => {
    const { bed } = await bedWith({ leaseUntil: new Date(0) });
    const read: string[] = [];
    const { store } = bed;
    bed.ports.store.read = ((...paths: string[]) => {
      read.push(...paths);
      return store.memory.read(...paths);
    }) as typeof store.read;
    assert.deepEqual(await sweep(bed.ports), swept({ expired: 1, waiting: 1 }));
    assert.deepEqual(
      read.filter((path) => path.startsWith("history/")),
      [],
    );
  });

  it("leaves an expired create with a key to the next message, which resends it", async () => {
    const { bed, path } = await bedWith({}, "NEW", { CREATE_POLICY: "idempotency-key" });
    bed.clock.advance(HOUR_MS);
    assert.deepEqual(await sweep(bed.ports), swept({}));
    assert.equal(await inState(bed, path), "SENDING");
  });

  for (const [what, status, relation, isShown] of [
    ["its order is advanced without a link", "PREPARATION", undefined, true],
    ["another program linked its order", "NEW", { kitchen: "kitchenorders/theirs" }, true],
    ["an operator discarded the link", "PREPARATION", { kitchen: "k", discarded: { kitchen: "k" } }, false],
    ["the status of its order is unknown", "UNKNOWN", undefined, false],
  ] as const) {
    it(`${isShown ? "shows" : "does not show"} an operator an expired create with a key when ${what}`, async () => {
      const { bed, path } = await bedWith({}, status, { CREATE_POLICY: "idempotency-key" });
      if (relation) await bed.store.set("relations/1", relation);
      bed.clock.advance(HOUR_MS);
      assert.deepEqual(await sweep(bed.ports), swept(isShown ? { expired: 1, waiting: 1 } : {}));
      assert.equal(await inState(bed, path), isShown ? "UNCERTAIN" : "SENDING");
    });
  }

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

  it("leaves a failed attempt whose link another program made, until its order ends", async () => {
    const { bed, path } = await bedWith({ state: "FAILED", leaseUntil: null }, "PREPARATION");
    await relate(bed, "1");
    assert.deepEqual(await sweep(bed.ports), swept({}));
    assert.equal(await inState(bed, path), "FAILED");
  });

  it("has no next try once it is closed", async () => {
    const failed = { state: "FAILED", leaseUntil: null, nextTryAt: new Date(0) };
    const { bed, path } = await bedWith(failed, "CANCELLED");
    await sweep(bed.ports);
    assert.equal(await bed.store.field(path, "nextTryAt"), null);
  });

  it("reads no attempt that is closed", async () => {
    const { bed } = await bedWith({ state: "CLOSED", leaseUntil: null });
    const states: string[] = [];
    const { store } = bed;
    bed.ports.store.query = (query) => {
      if (query.collection === "attempts") states.push(...query.oneOf);
      return store.memory.query(query);
    };
    await sweep(bed.ports);
    assert.deepEqual(states.sort(), ["FAILED", "PARKED", "SENDING", "UNCERTAIN"]);
  });

  it("closes an attempt whose order could not be read once that has ended", async () => {
    const reason = { code: "ORDER_UNREADABLE", message: "x" };
    const { bed, path } = await bedWith({ state: "PARKED", leaseUntil: null, reason }, "CANCELLED");
    const asked = recordLookups(bed);
    assert.deepEqual(await sweep(bed.ports), swept({ closed: 1 }));
    assert.equal(await inState(bed, path), "CLOSED");
    assert.deepEqual(asked, ["orders/1"], "one lookup says all of it");
  });

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

  it("leaves an uncertain create with a key to its stage, even if its next try is due and its order has ended", async () => {
    const reason = { code: "UNAVAILABLE", message: "cut off" };
    const uncertain = { state: "UNCERTAIN", leaseUntil: null, nextTryAt: new Date(0), reason };
    const { bed, path } = await bedWith(uncertain, "CANCELLED", { CREATE_POLICY: "idempotency-key" });
    const before = await bed.store.fields(path);
    assert.deepEqual(await sweep(bed.ports), swept({ waiting: 1 }));
    assert.deepEqual(await bed.store.fields(path), before);
  });

  it("counts an attempt as failed if the lookup of its unreadable order fails for another reason", async () => {
    const reason = { code: "ORDER_UNREADABLE", message: "x" };
    const { bed, path } = await bedWith({ state: "PARKED", leaseUntil: null, reason });
    bed.food.hooks.once("getOrder", "before", () => Promise.reject(callError("UNAVAILABLE", "down", true)));
    assert.deepEqual(await sweep(bed.ports), swept({ failed: 1 }));
    assert.equal(await inState(bed, path), "PARKED");
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

describe("what the sweep logs and leaves behind", () => {
  const lineOf = (bed: TestBed, outcome: string) => bed.lines.find((line) => line.fields.outcome === outcome);

  it("logs each relation that it closes, and what it did", async () => {
    const bed = testBed();
    place(bed, "1", "CANCELLED");
    await relate(bed, "1");
    place(bed, "2", "PREPARATION");
    await relate(bed, "2", {
      schema: 1,
      state: "PREPARATION",
      times: { PREPARATION: new Date(bed.clock.now() - 90_400) },
    });
    await sweep(bed.ports);
    const [closed, completed, ...others] = bed.lines;
    assert.deepEqual(others, []);
    assert.equal(closed?.level, "info");
    const advanced = { order: "orders/1", component: "sweep", outcome: "advanced", to: "CANCELLED" };
    assert.deepEqual(closed?.fields, advanced);
    assert.deepEqual(completed?.fields, { component: "sweep", ...swept({ closed: 1 }), oldestSeconds: 90 });
  });

  it("measures the age of the oldest relation by its first state, and takes a clock that is behind for none", async () => {
    const bed = testBed();
    const now = bed.clock.now();
    const times = { PREPARATION: new Date(now - 300_000), IN_FLIGHT: new Date(now - 10_000) };
    for (const id of ["1", "2", "3"]) place(bed, id, "PREPARATION");
    await relate(bed, "1", { schema: 1, state: "PREPARATION", times: { PREPARATION: new Date(now + 50_000) } });
    await relate(bed, "2", {});
    await sweep(bed.ports);
    assert.equal(bed.lines.at(-1)?.fields.oldestSeconds, 0);
    await relate(bed, "3", { schema: 1, state: "IN_FLIGHT", shipment: "shipments/3", times });
    await sweep(bed.ports);
    assert.equal(bed.lines.at(-1)?.fields.oldestSeconds, 300);
  });

  it("warns that it was skipped while another one runs", async () => {
    const bed = testBed();
    await bed.store.set("leases/sweep", { holder: "other", step: 0, until: new Date(bed.clock.now() + 1) });
    assert.equal((await sweep(bed.ports)).outcome, "skipped");
    const [line] = bed.lines;
    assert.deepEqual([line?.level, line?.fields], ["warn", { component: "sweep", outcome: "skipped" }]);
  });

  it("holds its lease for nine minutes at most, and releases it with the report lag", async () => {
    const bed = testBed();
    place(bed, "1", "NEW");
    const at = new Date(bed.clock.now() - 5_000);
    await relate(bed, "1", { schema: 1, state: "PREPARATION", times: { PREPARATION: at } });
    let during: unknown;
    bed.food.hooks.once("listOrders", "before", async () => {
      during = await bed.store.field("leases/sweep", "until");
    });
    await sweep(bed.ports);
    assert.deepEqual(during, new Date(bed.clock.now() + 540_000));
    const { until, health, cursors } = (await bed.store.fields("leases/sweep")) ?? {};
    assert.deepEqual(until, new Date(0));
    assert.deepEqual(health, { at: new Date(bed.clock.now()), unreported: 1, reportLagMs: 5_000 });
    assert.deepEqual(cursors, { relations: null, attempts: null });
  });

  it("releases its lease if it fails, and preserves what the previous sweep stored", async () => {
    const bed = testBed();
    const left = { cursors: { relations: "relations/7", attempts: null }, health: { unreported: 3 } };
    await bed.store.set("leases/sweep", { holder: "", step: 0, until: new Date(0), ...left });
    bed.store.hooks.once("query", "before", () => {
      throw new StoreError("down");
    });
    await assert.rejects(sweep(bed.ports), StoreError);
    const { until, cursors, health } = (await bed.store.fields("leases/sweep")) ?? {};
    assert.deepEqual({ until, cursors, health }, { until: new Date(0), ...left });
  });

  it("says which statuses it can't list, and why", async () => {
    const bed = testBed();
    bed.food.listOrders = async ({ status }) => {
      if (status === "NEW") return { orders: [], nextPageToken: "" };
      throw callError("UNAVAILABLE", `no ${status}`, true);
    };
    await sweep(bed.ports);
    const line = lineOf(bed, "degraded");
    assert.equal(line?.level, "warn");
    const problems = ["PREPARATION: UNAVAILABLE no PREPARATION", "IN_FLIGHT: UNAVAILABLE no IN_FLIGHT"];
    assert.deepEqual(line?.fields, { component: "sweep", outcome: "degraded", problems });
    assert.match(line?.message ?? "", /: PREPARATION: .*; IN_FLIGHT: /);
  });

  it("cuts the list of statuses that it can't list after 1,000 characters", async () => {
    const bed = testBed();
    bed.food.listOrders = () => Promise.reject(callError("UNAVAILABLE", "x".repeat(1_000), true));
    await sweep(bed.ports);
    const { message = "" } = lineOf(bed, "degraded") ?? {};
    assert.match(message, /^Sweep can't list all orders .*: NEW: UNAVAILABLE x{100}/);
    assert.equal(message.length, 1_000);
  });

  it("lists for a minute at most, then asks for the orders one by one", async () => {
    const bed = testBed();
    place(bed, "1", "PREPARATION");
    await relate(bed, "1");
    let pages = 0;
    bed.food.listOrders = async ({ status }) => {
      if (status !== "NEW") return { orders: [], nextPageToken: "" };
      pages++;
      bed.clock.advance(10_000);
      const name = `orders/n${pages}`;
      return { orders: [{ name, customerId: "", status }], nextPageToken: String(pages) };
    };
    await sweep(bed.ports);
    assert.equal(pages, 6);
    assert.deepEqual(lineOf(bed, "degraded")?.fields.problems, ["NEW: listing takes longer than 60 s"]);
  });

  it("has listed a status whose last page comes after the minute", async () => {
    const bed = testBed();
    bed.food.listOrders = async () => {
      // The other listings have begun by then.
      await turn();
      bed.clock.advance(61_000);
      return { orders: [], nextPageToken: "" };
    };
    await sweep(bed.ports);
    assert.equal(lineOf(bed, "degraded"), undefined);
  });

  for (const [what, fields, outcome] of [
    ["can't be read", { schema: 2 }, "quarantined"],
    ["can't be judged now", {}, "failed"],
  ] as const) {
    it(`logs the path and the reason of a document that ${what}`, async () => {
      const bed = testBed();
      await relate(bed, "1", { state: "PREPARATION", ...fields });
      bed.food.hooks.once("getOrder", "before", () => {
        throw callError("UNAVAILABLE", "down", true);
      });
      assert.equal((await sweep(bed.ports)).failed, 1);
      const line = lineOf(bed, outcome);
      assert.deepEqual([line?.level, line?.fields.component, line?.fields.path], ["error", "sweep", "relations/1"]);
      assert.match(JSON.stringify(line?.fields.reason), /"code":"(ValidationError|UNAVAILABLE)","message":"/);
    });
  }

  it("neither counts nor logs what another process changed, or what has no slot: the next sweep comes to it", async () => {
    for (const error of [new ConflictError("raced"), new NoSlotError("GetOrder")]) {
      const bed = testBed();
      await relate(bed, "1");
      bed.food.hooks.once("getOrder", "before", () => {
        throw error;
      });
      assert.deepEqual(await sweep(bed.ports), swept({}));
      assert.equal(bed.lines.length, 1);
    }
  });

  it("judges relations for four minutes, and attempts until seven; it says where it stopped", async () => {
    const bed = testBed();
    const asked = recordLookups(bed, () => bed.clock.advance(1_000));
    for (let id = 100; id < 400; id++) {
      place(bed, `r${id}`, "UNKNOWN");
      await relate(bed, `r${id}`);
    }
    for (let id = 100; id < 300; id++) {
      place(bed, `a${id}`, "UNKNOWN");
      await attempt(bed, `a${id}`, { state: "FAILED", leaseUntil: null });
    }
    const result = await sweep(bed.ports);
    const relations = asked.filter((name) => name.startsWith("orders/r"));
    assert.deepEqual([relations.length, asked.length - relations.length], [240, 180]);
    assert.equal(result.failed, 2);
    const stops = bed.lines.filter(({ level }) => level === "error").map(({ fields }) => fields);
    assert.deepEqual(stops, [
      { component: "sweep", path: "relations/r340", outcome: "failed" },
      { component: "sweep", path: "attempts/kitchen:a280", outcome: "failed" },
    ]);
    const cursors = { relations: "relations/r339", attempts: "attempts/kitchen:a279" };
    assert.deepEqual(await bed.store.field("leases/sweep", "cursors"), cursors);
    asked.length = 0;
    await sweep(bed.ports);
    const first = (kind: string) => asked.find((name) => name.startsWith(`orders/${kind}`));
    assert.deepEqual([first("r"), first("a")], ["orders/r340", "orders/a280"], "the next one continues with each");
  });
});

describe("an attempt that waits for an operator", () => {
  const PARKED = { state: "PARKED", leaseUntil: null, tries: 0 };
  const LOOKS = { since: new Date(0), last: new Date(0), looks: 3 };
  const REPORT = { tries: 3, nextTryAt: new Date(0), state: "PREPARATION", code: "REPORT_REJECTED" };
  const KITCHEN = { kitchen: "kitchenorders/1" };

  /** What the sweep makes of it: the state, given the reason, the status that the food service shows, and the relation. */
  async function stateAfterSweep(code: string, status: OrderStatus, relation?: Fields): Promise<unknown> {
    const bed = testBed();
    place(bed, "1", status);
    if (relation) await bed.store.set("relations/1", { schema: 1, ...relation });
    const path = await attempt(bed, "1", { ...PARKED, reason: { code, message: "x" } });
    const result = await sweep(bed.ports);
    const state = await bed.store.field(path, "state");
    assert.equal(result.waiting, state === "PARKED" ? 1 : 0);
    if (state === "CLOSED") {
      const expireAt = new Date(bed.clock.now() + 30 * 24 * HOUR_MS);
      assert.deepEqual(await bed.store.field(path, "expireAt"), expireAt);
      assert.equal(await bed.store.field(path, "nextTryAt"), null);
    }
    return state;
  }

  const PREPARED = { state: "PREPARATION", ...KITCHEN };
  for (const [what, code, status, relation, state] of [
    [
      "its lost link is not found",
      "LINK_NOT_FOUND",
      "PREPARATION",
      { ...PREPARED, trouble: { missingLink: { ...LOOKS, name: "kitchenorders/1" } } },
      "PARKED",
    ],
    ["its lost link is found again", "LINK_NOT_FOUND", "PREPARATION", PREPARED, "CLOSED"],
    ["its relation is gone", "LINK_NOT_FOUND", "PREPARATION", undefined, "PARKED"],
    ["its report still fails", "REPORT_REJECTED", "NEW", { ...PREPARED, trouble: { report: REPORT } }, "PARKED"],
    ["its report still fails", "REPORT_IGNORED", "NEW", { ...PREPARED, trouble: { report: REPORT } }, "PARKED"],
    ["its report went through", "REPORT_REJECTED", "NEW", PREPARED, "CLOSED"],
    [
      "its order ended otherwise",
      "REPORT_REJECTED",
      "CANCELLED",
      { ...PREPARED, state: "DELIVERED", trouble: { report: REPORT } },
      "CLOSED",
    ],
    [
      "its relation was closed",
      "REPORT_REJECTED",
      "NEW",
      { ...PREPARED, state: "CANCELLED", trouble: { report: REPORT } },
      "CLOSED",
    ],
    ["its relation has no link", "REPORT_REJECTED", "NEW", { trouble: { report: REPORT } }, "CLOSED"],
    [
      "the food service shows what was reported",
      "REPORT_REJECTED",
      "PREPARATION",
      { ...PREPARED, trouble: { report: REPORT } },
      "CLOSED",
    ],
    [
      "the food service shows what was reported",
      "REPORT_IGNORED",
      "IN_FLIGHT",
      { ...PREPARED, trouble: { report: REPORT } },
      "CLOSED",
    ],
    ["its order is found again", "ORDER_NOT_FOUND", "NEW", undefined, "CLOSED"],
    ["its order is answered about again", "ORDER_UNREADABLE", "NEW", undefined, "CLOSED"],
    [
      "its order was cancelled and is active",
      "ACTIVE_AFTER_CANCELLATION",
      "PREPARATION",
      { state: "CANCELLED", ...KITCHEN },
      "PARKED",
    ],
    ["its relation was reopened", "ACTIVE_AFTER_CANCELLATION", "PREPARATION", PREPARED, "CLOSED"],
    ["its relation is the earlier order's", "ORDER_REPLACED", "NEW", PREPARED, "PARKED"],
    ["the earlier order's relation was deleted", "ORDER_REPLACED", "NEW", undefined, "CLOSED"],
    ["its create was rejected", "INVALID_ARGUMENT", "NEW", undefined, "PARKED"],
    ["its create was rejected and a link was made", "INVALID_ARGUMENT", "PREPARATION", PREPARED, "CLOSED"],
    ["nothing is linked", "STRANDED", "PREPARATION", { state: "PREPARATION", shipment: "shipments/1" }, "PARKED"],
    ["its name can't be stored", "UNUSABLE_NAME", "CANCELLED", undefined, "PARKED"],
  ] as const satisfies [string, string, OrderStatus, Fields | undefined, string][]) {
    it(`is ${state === "CLOSED" ? "closed" : "left"} when it is ${code} and ${what}`, async () => {
      assert.equal(await stateAfterSweep(code, status, relation), state);
    });
  }

  it("is not closed for a report that still fails while its order is missing", async () => {
    const bed = testBed();
    await bed.store.set("relations/1", { schema: 1, ...PREPARED, trouble: { report: REPORT } });
    const path = await attempt(bed, "1", { ...PARKED, reason: { code: "REPORT_REJECTED", message: "x" } });
    await sweep(bed.ports);
    assert.equal(await bed.store.field(path, "state"), "PARKED");
  });
});

describe("an attempt whose order is missing", () => {
  const MINUTE_MS = 60_000;

  async function bedWith(fields: Fields, settings: Partial<Settings> = {}) {
    const bed = testBed({ MISSING_AFTER_MINUTES: 10, ...settings });
    return { bed, path: await attempt(bed, "1", fields) };
  }

  const FAILED = { state: "FAILED", leaseUntil: null };

  it("is closed after several looks over MISSING_AFTER_MINUTES, and not before", async () => {
    const { bed, path } = await bedWith(FAILED);
    for (let minute = 0; minute < 10; minute++) {
      await sweep(bed.ports);
      assert.equal(await bed.store.field(path, "state"), "FAILED", `after ${minute} minutes`);
      bed.clock.advance(MINUTE_MS);
    }
    assert.deepEqual(await sweep(bed.ports), swept({}));
    assert.deepEqual(await sweep(bed.ports), swept({ closed: 1 }));
    assert.equal(await bed.store.field(path, "state"), "CLOSED");
  });

  it("counts anew after the order was seen in between", async () => {
    const { bed, path } = await bedWith(FAILED);
    await sweep(bed.ports);
    assert.notEqual(await bed.store.field(path, "missing"), undefined);
    place(bed, "1", "NEW");
    await sweep(bed.ports);
    assert.equal(await bed.store.field(path, "missing"), null);
    const commits = bed.store.commits.length;
    await sweep(bed.ports);
    assert.equal(bed.store.commits.length, commits + 2, "only the lease is written");
  });

  it("waits for an operator if that is why it is parked", async () => {
    const { bed, path } = await bedWith({
      ...FAILED,
      state: "PARKED",
      reason: { code: "ORDER_NOT_FOUND", message: "x" },
    });
    for (let looks = 0; looks < 6; looks++) {
      assert.equal((await sweep(bed.ports)).waiting, 1);
      bed.clock.advance(10 * MINUTE_MS);
    }
    assert.equal(await bed.store.field(path, "state"), "PARKED");
    assert.equal(await bed.store.field(path, "missing"), undefined);
  });

  it("becomes UNCERTAIN if its create may have been carried out with a key, when its absence is believed", async () => {
    const { bed, path } = await bedWith({}, { CREATE_POLICY: "idempotency-key" });
    bed.clock.advance(HOUR_MS);
    for (let looks = 0; looks < 3; looks++) {
      assert.deepEqual(await sweep(bed.ports), swept({}));
      assert.equal(await bed.store.field(path, "state"), "SENDING");
      bed.clock.advance(5 * MINUTE_MS);
    }
    assert.deepEqual(await sweep(bed.ports), swept({ expired: 1, waiting: 1 }));
    const { state, leaseUntil, nextTryAt, reason } = (await bed.store.fields(path)) ?? {};
    assert.deepEqual({ state, leaseUntil, nextTryAt }, { state: "UNCERTAIN", leaseUntil: null, nextTryAt: null });
    assert.deepEqual(reason, { code: "LEASE_EXPIRED", message: "the order ended before an answer was saved" });
  });
});

describe("many orders that are missing at once", () => {
  async function bedWith(missing: number, found: number): Promise<TestBed> {
    const bed = testBed({ MISSING_AFTER_MINUTES: 10 });
    for (let id = 0; id < missing; id++) await relate(bed, `m${id}`);
    for (let id = 0; id < found; id++) {
      place(bed, `f${id}`, "PREPARATION");
      await relate(bed, `f${id}`);
    }
    return bed;
  }

  it("raise an alert with their number, and a hundred looks are counted at a sweep", async () => {
    const bed = await bedWith(150, 10);
    assert.deepEqual(await sweep(bed.ports), swept({ missing: 150 }));
    const [alert] = bed.lines;
    const fields = { component: "sweep", outcome: "orders_missing", missing: 150, open: 160 };
    assert.deepEqual([alert?.level, alert?.fields], ["error", fields]);
    const looks = () => bed.store.writes.filter(({ path }) => path.startsWith("relations/m")).length;
    assert.equal(looks(), 100);
    await sweep(bed.ports);
    assert.equal(looks(), 150, "the others come next");
  });

  it("wait for an operator after several looks, and a hundred of them are parked at a sweep", async () => {
    const bed = await bedWith(150, 10);
    const trouble = { missing: { since: new Date(0), last: new Date(0), looks: 3 } };
    for (let id = 0; id < 150; id++) await bed.store.set(`relations/m${id}`, { trouble });
    assert.deepEqual(await sweep(bed.ports), swept({ missing: 150, waiting: 100 }));
    assert.deepEqual(await sweep(bed.ports), swept({ missing: 150, waiting: 150 }));
  });

  for (const [what, missing, written, sweeps] of [
    ["a look", 2, "relations/m0", 0],
    ["a closed relation", 2, "relations/m0", 3],
    ["a parked order", 8, "attempts/kitchen:m0", 3],
  ] as const) {
    it(`are handled one by one: ${what} that can't be saved is counted, and stops no other`, async () => {
      const bed = await bedWith(missing, 10 - missing);
      for (let looks = 0; looks < sweeps; looks++) {
        await sweep(bed.ports);
        bed.clock.advance(300_000);
      }
      const { commit } = bed.store;
      const saved: string[] = [];
      bed.ports.store.commit = (writes) => {
        if (writes.some(({ path }) => path === written)) return Promise.reject(new StoreError("down"));
        saved.push(...writes.map(({ path }) => path));
        return commit.call(bed.store, writes);
      };
      assert.equal((await sweep(bed.ports)).failed, 1);
      assert.ok(saved.includes(written.replace("m0", "m1")), saved.join());
    });
  }

  it("are closed one by one if they are a fifth of the open ones", async () => {
    const bed = await bedWith(2, 8);
    const counts: number[] = [];
    for (let looks = 0; looks < 4; looks++) {
      counts.push((await sweep(bed.ports)).closed);
      bed.clock.advance(300_000);
    }
    assert.deepEqual(counts, [0, 0, 0, 2]);
    assert.equal(await bed.store.field("relations/m0", "state"), "GONE");
    const closed = bed.lines.filter(({ fields }) => fields.to === "GONE").map(({ fields }) => fields.order);
    assert.deepEqual(closed, ["orders/m0", "orders/m1"]);
  });

  it("are all looked at in one sweep if they are a fifth of the open ones", async () => {
    const bed = await bedWith(101, 404);
    await sweep(bed.ports);
    assert.equal(bed.store.writes.filter(({ path }) => path.startsWith("relations/m")).length, 101);
  });

  it("are handled for five minutes at most, and the rest at the next sweep", async () => {
    const bed = await bedWith(20, 100);
    const { getOrder } = bed.food;
    bed.food.getOrder = (name) => {
      bed.clock.advance(5_000);
      return getOrder(name);
    };
    const { commit } = bed.store;
    bed.ports.store.commit = (writes) => {
      if (writes.some(({ path }) => path.startsWith("relations/m"))) bed.clock.advance(50_000);
      return commit.call(bed.store, writes);
    };
    await sweep(bed.ports);
    const looked = await Promise.all(
      Array.from({ length: 20 }, (_, id) => bed.store.field(`relations/m${id}`, "trouble")),
    );
    assert.equal(looked.filter((trouble) => trouble !== undefined).length, 4);
  });
});
