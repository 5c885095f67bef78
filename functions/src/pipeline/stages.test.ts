/** What each stage does with an order, and says of it: the outcomes that logs, alerts and the console show. */
import assert from "node:assert/strict";
import { callError } from "../domain/errors.js";
import type { KitchenStatus, OrderStatus, ShipmentStatus } from "../domain/order-lifecycle.js";
import type { Outcome } from "../domain/outcome.js";
import type { Fields } from "../ports.js";
import { relationIn } from "../relations/relation.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { completeOrder } from "./complete-order.js";
import { dispatchShipment } from "./dispatch-shipment.js";
import { readLinked, readRemembered } from "./linked-resource.js";
import type { StageHandler } from "./run-stage.js";
import { sendToKitchen } from "./send-to-kitchen.js";

const REF = { name: "orders/1", id: "1" };
const K = "kitchenorders/1";
const S = "shipments/1";

interface Given {
  order: OrderStatus;
  kitchen?: KitchenStatus;
  shipment?: ShipmentStatus;
  relation?: Fields;
}

async function bedOf({ order, kitchen, shipment, relation }: Given): Promise<TestBed> {
  const bed = testBed({ MISSING_AFTER_MINUTES: 10 });
  bed.food.orders.set(REF.name, { name: REF.name, customerId: "ada", status: order });
  if (kitchen) bed.food.kitchenOrders.set(K, { name: K, status: kitchen });
  if (shipment) bed.food.shipments.set(S, { name: S, status: shipment });
  if (relation) await bed.store.set("relations/1", { schema: 1, ...relation });
  return bed;
}

const PREPARED = { state: "PREPARATION", kitchen: K };
const SENT = { state: "IN_FLIGHT", kitchen: K, shipment: S };
const skips = (reason: string): Outcome => ({ outcome: "skipped", reason });
const advances = (to: string): Outcome => ({ outcome: "advanced", to });

type Case = [what: string, given: Given, outcome: Outcome, created: string[]];

/** A test for each case: the outcome of the stage, and the stages whose resources it created. */
function holdEach(cases: readonly Case[], stage: StageHandler): void {
  for (const [what, given, outcome, created] of cases) {
    it(what, async () => {
      const bed = await bedOf(given);
      assert.deepEqual(await stage(REF, bed.ports), outcome);
      assert.deepEqual(
        bed.food.created.map((each) => each.stage),
        created,
      );
    });
  }
}

describe("sendToKitchen", () => {
  const cases: [what: string, given: Given, outcome: Outcome, created: number][] = [
    ["creates a kitchen order for an order that is NEW", { order: "NEW" }, advances("PREPARATION"), 1],
    [
      "creates nothing for an order that is PREPARATION",
      { order: "PREPARATION" },
      skips("the order is PREPARATION"),
      0,
    ],
    ["creates nothing for an order that is CANCELLED", { order: "CANCELLED" }, skips("the order is CANCELLED"), 0],
    [
      "reports the link again that an order has already",
      { order: "NEW", relation: PREPARED },
      skips("PREPARATION is reported again"),
      0,
    ],
    [
      "reports again how an order ended",
      { order: "NEW", relation: { ...SENT, state: "DELIVERED" } },
      skips("DELIVERED is reported again"),
      0,
    ],
  ];
  for (const [what, given, outcome, created] of cases) {
    it(what, async () => {
      const bed = await bedOf(given);
      assert.deepEqual(await sendToKitchen(REF, bed.ports), outcome);
      assert.equal(bed.food.created.length, created);
    });
  }
});

describe("an order that waits for a link which its instance remembers", () => {
  const waits = { ...REF, placedAt: 7 };

  for (const [what, stage, given, reason] of [
    [
      "meal",
      dispatchShipment,
      { order: "PREPARATION", kitchen: "NEW", relation: PREPARED },
      "the kitchen order is NEW",
    ],
    [
      "shipment",
      completeOrder,
      { order: "IN_FLIGHT", shipment: "COLLECTED", relation: SENT },
      "the shipment is COLLECTED",
    ],
  ] as const) {
    it(`says how far its ${what} is`, async () => {
      const bed = await bedOf({ ...given, relation: { ...given.relation, placedAt: new Date(7) } });
      for (let tick = 0; tick < 3; tick++) assert.deepEqual(await stage(waits, bed.ports), skips(reason));
      const { length } = bed.lines;
      bed.store.hooks.once("read", "before", () => assert.fail("it remembers the link"));
      assert.deepEqual(await stage(waits, bed.ports), skips(reason));
      assert.equal(bed.lines.length, length);
    });
  }

  it("is looked up once when its meal is packaged", async () => {
    const relation = { ...PREPARED, placedAt: new Date(7) };
    const bed = await bedOf({ order: "PREPARATION", kitchen: "NEW", relation });
    bed.food.orders.set(REF.name, { name: REF.name, customerId: "ada", status: "PREPARATION", placedAt: new Date(7) });
    await dispatchShipment(waits, bed.ports);
    bed.food.kitchenOrders.set(K, { name: K, status: "PACKAGED" });
    let lookups = 0;
    const { getKitchenOrder } = bed.food;
    bed.food.getKitchenOrder = (name) => {
      lookups++;
      return getKitchenOrder(name);
    };
    assert.deepEqual(await dispatchShipment(waits, bed.ports), advances("IN_FLIGHT"));
    assert.equal(lookups, 1);
  });
});

describe("dispatchShipment", () => {
  const cases: Case[] = [
    [
      "creates a shipment for a packaged meal",
      { order: "PREPARATION", kitchen: "PACKAGED", relation: PREPARED },
      advances("IN_FLIGHT"),
      ["shipment"],
    ],
    [
      "waits for a meal that is NEW",
      { order: "PREPARATION", kitchen: "NEW", relation: PREPARED },
      skips("the kitchen order is NEW"),
      [],
    ],
    [
      "waits for a meal that is UNKNOWN",
      { order: "PREPARATION", kitchen: "UNKNOWN", relation: PREPARED },
      skips("the kitchen order is UNKNOWN"),
      [],
    ],
    [
      "closes the relation of an order that was cancelled",
      { order: "CANCELLED", kitchen: "PACKAGED", relation: PREPARED },
      advances("CANCELLED"),
      [],
    ],
    [
      "closes the relation of an order that was rejected",
      { order: "REJECTED", kitchen: "PACKAGED", relation: PREPARED },
      advances("REJECTED"),
      [],
    ],
    [
      "reports again to an order that is behind",
      { order: "NEW", kitchen: "PACKAGED", relation: PREPARED },
      skips("PREPARATION is reported again"),
      [],
    ],
    [
      "does nothing for an order that is further along",
      { order: "IN_FLIGHT", kitchen: "PACKAGED", relation: PREPARED },
      skips("the order is IN_FLIGHT"),
      [],
    ],
    [
      "does nothing for an order of unknown status",
      { order: "UNKNOWN", kitchen: "PACKAGED", relation: PREPARED },
      skips("the order is UNKNOWN"),
      [],
    ],
    [
      "reports a shipment again that is linked already",
      { order: "PREPARATION", kitchen: "PACKAGED", relation: SENT },
      skips("IN_FLIGHT is reported again"),
      [],
    ],
    [
      "creates the meal again that an operator discarded",
      { order: "PREPARATION", relation: { ...PREPARED, discarded: { kitchen: K } } },
      advances("PREPARATION"),
      ["kitchen"],
    ],
    [
      "does not create it for an order that has ended",
      { order: "CANCELLED", relation: { ...PREPARED, discarded: { kitchen: K } } },
      skips("the order is CANCELLED"),
      [],
    ],
    [
      "does nothing without a link for an order that is NEW",
      { order: "NEW", relation: {} },
      skips("the order is NEW"),
      [],
    ],
  ];
  holdEach(cases, dispatchShipment);

  it("asks an operator which kitchen order it is, if none was ever linked", async () => {
    const bed = await bedOf({ order: "PREPARATION" });
    assert.equal((await dispatchShipment(REF, bed.ports)).outcome, "blocked");
    const reason = { code: "STRANDED", message: "the order is in PREPARATION, but no kitchen order is linked" };
    assert.deepEqual(await bed.store.field("attempts/kitchen:1", "reason"), reason);
  });

  it("asks an operator if the order was placed at another time than its relation says", async () => {
    const bed = await bedOf({
      order: "PREPARATION",
      kitchen: "PACKAGED",
      relation: { ...PREPARED, placedAt: new Date(0) },
    });
    bed.food.orders.set(REF.name, {
      name: REF.name,
      customerId: "ada",
      status: "PREPARATION",
      placedAt: new Date(60_000),
    });
    assert.equal((await dispatchShipment(REF, bed.ports)).outcome, "blocked");
    assert.equal(((await bed.store.field("attempts/kitchen:1", "reason")) as Fields).code, "ORDER_REPLACED");
    assert.deepEqual(bed.food.created, []);
  });

  it("reads the order after the meal: a cancellation in between is seen", async () => {
    const bed = await bedOf({ order: "PREPARATION", kitchen: "PACKAGED", relation: PREPARED });
    bed.food.hooks.once("getKitchenOrder", "after", () => {
      bed.food.orders.set(REF.name, { name: REF.name, customerId: "ada", status: "CANCELLED" });
    });
    assert.deepEqual(await dispatchShipment(REF, bed.ports), advances("CANCELLED"));
    assert.deepEqual(bed.food.created, []);
  });
});

describe("completeOrder", () => {
  const both = { kitchen: K, shipment: S };
  const cases: Case[] = [
    [
      "closes the relation of a delivered shipment",
      { order: "IN_FLIGHT", shipment: "DELIVERED", relation: SENT },
      advances("DELIVERED"),
      [],
    ],
    [
      "closes the relation of a rejected shipment",
      { order: "IN_FLIGHT", shipment: "REJECTED", relation: SENT },
      advances("REJECTED"),
      [],
    ],
    [
      "waits for a shipment that is NEW",
      { order: "IN_FLIGHT", shipment: "NEW", relation: SENT },
      skips("the shipment is NEW"),
      [],
    ],
    [
      "waits for a shipment that is COLLECTED",
      { order: "IN_FLIGHT", shipment: "COLLECTED", relation: SENT },
      skips("the shipment is COLLECTED"),
      [],
    ],
    [
      "waits for a shipment of unknown status",
      { order: "IN_FLIGHT", shipment: "UNKNOWN", relation: SENT },
      skips("the shipment is UNKNOWN"),
      [],
    ],
    [
      "reports again how an order ended",
      { order: "IN_FLIGHT", relation: { ...SENT, state: "REJECTED" } },
      skips("REJECTED is reported again"),
      [],
    ],
    [
      "creates the shipment again that an operator discarded",
      {
        order: "IN_FLIGHT",
        kitchen: "PACKAGED",
        relation: { ...SENT, state: "PREPARATION", discarded: { shipment: S } },
      },
      advances("IN_FLIGHT"),
      ["shipment"],
    ],
    [
      "waits with it for the meal",
      {
        order: "IN_FLIGHT",
        kitchen: "PREPARATION",
        relation: { ...SENT, state: "PREPARATION", discarded: { shipment: S } },
      },
      skips("the kitchen order is PREPARATION"),
      [],
    ],
    [
      "creates the meal first, if both were discarded",
      { order: "IN_FLIGHT", relation: { ...SENT, state: "PREPARATION", discarded: both } },
      advances("PREPARATION"),
      ["kitchen"],
    ],
    [
      "creates nothing again for an order that has ended",
      {
        order: "DELIVERED",
        kitchen: "PACKAGED",
        relation: { ...SENT, state: "PREPARATION", discarded: { shipment: S } },
      },
      skips("the order is DELIVERED"),
      [],
    ],
    [
      "creates the shipment again, though no meal was ever linked",
      { order: "IN_FLIGHT", relation: { state: "PREPARATION", shipment: S, discarded: { shipment: S } } },
      advances("IN_FLIGHT"),
      ["shipment"],
    ],
    [
      "does nothing without a link for an order that is NEW",
      { order: "NEW", relation: {} },
      skips("the order is NEW"),
      [],
    ],
  ];
  holdEach(cases, completeOrder);

  it("asks the food service once about a shipment that it remembers", async () => {
    const bed = await bedOf({ order: "IN_FLIGHT", shipment: "NEW", relation: SENT });
    await completeOrder(REF, bed.ports);
    bed.food.shipments.set(S, { name: S, status: "DELIVERED" });
    bed.food.hooks.once("getShipment", "after", () => {
      bed.food.hooks.once("getShipment", "before", () => assert.fail("asks for it again"));
    });
    assert.deepEqual(await completeOrder(REF, bed.ports), advances("DELIVERED"));
  });

  it("asks an operator which shipment it is, if none was ever linked", async () => {
    const bed = await bedOf({ order: "IN_FLIGHT", kitchen: "PACKAGED", relation: PREPARED });
    assert.equal((await completeOrder(REF, bed.ports)).outcome, "blocked");
    const reason = { code: "STRANDED", message: "the order is IN_FLIGHT, but no shipment is linked" };
    assert.deepEqual(await bed.store.field("attempts/shipment:1", "reason"), reason);
  });

  it("counts the looks for a meal that is lost, before another shipment is created", async () => {
    const bed = await bedOf({
      order: "IN_FLIGHT",
      relation: { ...SENT, state: "PREPARATION", discarded: { shipment: S } },
    });
    assert.equal((await completeOrder(REF, bed.ports)).outcome, "blocked");
    const { missingLink } = (await bed.store.field("relations/1", "trouble")) as { missingLink: Fields };
    assert.deepEqual([missingLink.name, missingLink.looks], [K, 1]);
    assert.deepEqual(bed.food.created, []);
  });
});

describe("reading what is linked", () => {
  const NOW = testBed().clock.now();

  async function read(
    bed: TestBed,
    ref: Parameters<typeof readLinked>[2]["ref"] = REF,
    seen?: { name: string; status: KitchenStatus },
  ) {
    const [snapshot] = await bed.store.memory.read("relations/1");
    const relation = relationIn(snapshot);
    assert.ok(snapshot && relation);
    return readLinked("kitchen", K, { ref, snapshot, relation }, bed.ports, seen);
  }

  it("asks the food service, unless it was asked just now about the same name", async () => {
    const bed = await bedOf({ order: "PREPARATION", kitchen: "NEW", relation: PREPARED });
    let calls = 0;
    const { getKitchenOrder } = bed.food;
    bed.food.getKitchenOrder = (name) => {
      calls++;
      return getKitchenOrder(name);
    };
    const found = await read(bed, REF, { name: K, status: "PACKAGED" });
    assert.equal(found.kind === "found" && found.resource.status, "PACKAGED");
    assert.equal(calls, 0);
    const asked = await read(bed, REF, { name: "kitchenorders/2", status: "PACKAGED" });
    assert.equal(asked.kind === "found" && asked.resource.status, "NEW");
    assert.equal(calls, 1);
  });

  it("counts looks that found nothing for this name, says so once for each, and then asks an operator", async () => {
    const bed = await bedOf({ order: "PREPARATION", relation: PREPARED });
    const message = `the food service does not find ${K}: NOT_FOUND there is no ${K}`;
    const outcomes: string[] = [];
    for (let minute = 0; minute <= 10; minute++) {
      const result = await read(bed);
      assert.equal(result.kind, "missing");
      if (result.kind === "missing") outcomes.push(result.outcome.outcome);
      if (minute === 0)
        assert.deepEqual(result.kind === "missing" && result.outcome, { outcome: "blocked", reason: message });
      if (minute === 1) assert.deepEqual(result.kind === "missing" && result.outcome, skips(message));
      bed.clock.advance(60_000);
    }
    const between = ["skipped", "skipped", "skipped", "skipped"];
    assert.deepEqual(outcomes, ["blocked", ...between, "blocked", ...between, "blocked"]);
    assert.deepEqual(await bed.store.field("attempts/kitchen:1", "reason"), { code: "LINK_NOT_FOUND", message });
  });

  it("says what the food service answered, cut to 500 characters", async () => {
    const bed = await bedOf({ order: "PREPARATION", relation: PREPARED });
    bed.food.hooks.once("getKitchenOrder", "before", () =>
      Promise.reject(callError("NOT_FOUND", "x".repeat(1_000), true)),
    );
    const result = await read(bed);
    const reason = `the food service does not find ${K}: NOT_FOUND ${"x".repeat(1_000)}`.slice(0, 500);
    assert.deepEqual(result, { kind: "missing", outcome: { outcome: "blocked", reason } });
  });

  it("counts anew when another name is linked, and leaves other trouble", async () => {
    const looks = { since: new Date(0), last: new Date(0), looks: 3 };
    const bed = await bedOf({
      order: "PREPARATION",
      relation: { ...PREPARED, trouble: { missing: looks, missingLink: { ...looks, name: "kitchenorders/0" } } },
    });
    await read(bed);
    const now = new Date(NOW);
    assert.deepEqual(await bed.store.field("relations/1", "trouble"), {
      missing: looks,
      missingLink: { since: now, last: now, looks: 1, name: K },
    });
    bed.food.kitchenOrders.set(K, { name: K, status: "NEW" });
    const found = await read(bed);
    assert.deepEqual(await bed.store.field("relations/1", "trouble"), { missing: looks });
    assert.deepEqual(found.kind === "found" && [found.snapshot], await bed.store.read("relations/1"));
  });

  it("is an error if the food service says nothing about the name", async () => {
    const bed = await bedOf({ order: "PREPARATION", kitchen: "NEW", relation: PREPARED });
    bed.food.hooks.once("getKitchenOrder", "before", () => {
      throw callError("UNAVAILABLE", "down", true);
    });
    await assert.rejects(read(bed), { code: "UNAVAILABLE" });
    assert.deepEqual(bed.store.commits, []);
  });

  const remembers = (bed: TestBed, ref = REF) => bed.ports.links.find("kitchen", ref) === K;

  it("is remembered for a healthy order that has to wait, and for no other", async () => {
    const missing = { since: new Date(0), last: new Date(0), looks: 1 };
    for (const [kitchen, more, isRemembered] of [
      ["NEW", {}, true],
      ["UNKNOWN", {}, true],
      ["PACKAGED", {}, false],
      ["NEW", { trouble: { missing } }, false],
      ["NEW", { trouble: null }, true],
    ] as const) {
      const bed = await bedOf({ order: "PREPARATION", kitchen, relation: { ...PREPARED, ...more } });
      await read(bed);
      assert.equal(remembers(bed), isRemembered, JSON.stringify({ kitchen, more }));
    }
  });

  it("is not remembered if the message is about a new order with the same name", async () => {
    const bed = await bedOf({ order: "PREPARATION", kitchen: "NEW", relation: { ...PREPARED, placedAt: new Date(0) } });
    const other = { ...REF, placedAt: 60_000 };
    await read(bed, other);
    assert.equal(remembers(bed, other), false);
    const same = { ...REF, placedAt: 0 };
    await read(bed, same);
    assert.equal(remembers(bed, same), true);
  });

  it("by what is remembered says whether the order waits, and forgets what it need not wait for", async () => {
    const bed = await bedOf({ order: "PREPARATION", kitchen: "NEW" });
    assert.deepEqual(await readRemembered("kitchen", REF, bed.ports), { kind: "unknown" });
    bed.ports.links.remember("kitchen", REF, K);
    assert.deepEqual(await readRemembered("kitchen", REF, bed.ports), {
      kind: "waiting",
      resource: { name: K, status: "NEW" },
    });
    assert.equal(remembers(bed), true);
    bed.food.kitchenOrders.set(K, { name: K, status: "PACKAGED" });
    const resource = { name: K, status: "PACKAGED" };
    assert.deepEqual(await readRemembered("kitchen", REF, bed.ports), { kind: "unknown", resource });
    assert.equal(remembers(bed), false);
  });

  it("by what is remembered forgets a name that the food service does not find, and is an error if it says nothing", async () => {
    const bed = await bedOf({ order: "PREPARATION" });
    bed.ports.links.remember("kitchen", REF, K);
    assert.deepEqual(await readRemembered("kitchen", REF, bed.ports), { kind: "unknown" });
    assert.equal(remembers(bed), false);
    bed.ports.links.remember("kitchen", REF, K);
    bed.food.hooks.once("getKitchenOrder", "before", () => {
      throw callError("UNAVAILABLE", "down", true);
    });
    await assert.rejects(readRemembered("kitchen", REF, bed.ports), { code: "UNAVAILABLE" });
    assert.equal(remembers(bed), true);
  });
});
