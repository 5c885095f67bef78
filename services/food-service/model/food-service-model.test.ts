import assert from "node:assert/strict";
import fc from "fast-check";
import { type CallError, ValidationError } from "../../../functions/src/domain/errors.js";
import type { OrderStatus } from "../../../functions/src/domain/order-lifecycle.js";
import type { Randomness } from "../../../functions/src/ports.js";
import type { FoodServiceEvent } from "./food-service-event.js";
import { FoodServiceModel, type FoodServiceOptions } from "./food-service-model.js";

const MINUTE = 60_000;
const START = Date.UTC(2026, 0, 1);
const UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

/** Counts its UUIDs and walks through evenly spread fractions. */
function evenly(): Randomness {
  let draws = 0;
  return {
    uuid: () => `00000000-0000-4000-8000-${(draws++).toString(16).padStart(12, "0")}`,
    fraction: () => (draws++ * 0.618_033_988_75) % 1,
  };
}

/** A model with a manual clock, and the events that it emitted, as they come back from JSON. */
function setUp(options: Partial<FoodServiceOptions> = {}) {
  const clock = { time: START, now: () => clock.time };
  const events: FoodServiceEvent[] = [];
  const onEvent = (event: FoodServiceEvent) => events.push(JSON.parse(JSON.stringify(event)));
  const model = new FoodServiceModel({ clock, random: evenly(), onEvent, ...options });
  return { model, clock, events };
}

function options(idempotencyKey: string) {
  return { idempotencyKey, deadline: Number.POSITIVE_INFINITY };
}

async function listed(model: FoodServiceModel, status: OrderStatus, pageSize = 1000): Promise<string[]> {
  const names: string[] = [];
  let pageToken = "";
  do {
    const page = await model.listOrders({ status, pageSize, pageToken });
    names.push(...page.orders.map((order) => order.name));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return names;
}

function failsWith(code: string, message: RegExp | string = "") {
  return (error: CallError) => {
    assert.equal(error.code, code);
    assert.match(error.message, new RegExp(message));
    assert.equal(error.sent, true);
    return true;
  };
}

describe("the food service's model", () => {
  it("assigns names with the prefix of their kind, and creates orders as NEW", async () => {
    const { model } = setUp();
    const order = model.placeOrder("krithik");
    assert.match(order.name, new RegExp(`^orders/${UUID}$`));
    assert.deepEqual(await model.getOrder(order.name), {
      name: order.name,
      customerId: "krithik",
      status: "NEW",
      createdAt: START,
      updatedAt: START,
    });
    assert.match((await model.createKitchenOrder(options("a"))).name, new RegExp(`^kitchenorders/${UUID}$`));
    assert.match((await model.createShipment(options("a"))).name, new RegExp(`^shipments/${UUID}$`));
  });

  it("advances a kitchen order and a shipment by time alone, through every status in order", async () => {
    for (const [rejected, outcome] of [
      [0, "DELIVERED"],
      [1, "REJECTED"],
    ] as const) {
      const { model, clock } = setUp({ rejected });
      const kitchen = await model.createKitchenOrder(options("a"));
      const shipment = await model.createShipment(options("a"));
      const seen = { kitchen: [] as string[], shipment: [] as string[] };
      for (let minute = 0; minute <= 30; minute++) {
        clock.time = START + minute * MINUTE;
        seen.kitchen.push((await model.getKitchenOrder(kitchen.name)).status);
        seen.shipment.push((await model.getShipment(shipment.name)).status);
      }
      assert.deepEqual([...new Set(seen.kitchen)], ["NEW", "PREPARATION", "PACKAGED"]);
      assert.deepEqual([...new Set(seen.shipment)], ["NEW", "COLLECTED", outcome]);
      assert.deepEqual(
        seen.kitchen,
        seen.kitchen.toSorted((a, b) => rank(a) - rank(b)),
      );
      assert.deepEqual(
        seen.shipment,
        seen.shipment.toSorted((a, b) => rank(a) - rank(b)),
      );
    }
    function rank(status: string) {
      return ["NEW", "PREPARATION", "PACKAGED", "COLLECTED", "DELIVERED", "REJECTED"].indexOf(status);
    }
  });

  it("runs at the given speed", async () => {
    const { model, clock } = setUp({ speed: 120 });
    const { name } = await model.createKitchenOrder(options("a"));
    clock.time += (14 * MINUTE) / 120;
    assert.equal((await model.getKitchenOrder(name)).status, "PACKAGED");
    const { changes } = model.truth().kitchenOrders[0] ?? assert.fail();
    const took = Date.parse(changes[2]?.at ?? "") - START;
    assert.ok(took >= (6 * MINUTE) / 120 - 1 && took <= (14 * MINUTE) / 120 + 1, `took ${took} ms`);
  });

  it("rejects and cancels the given share of orders", () => {
    const { model, clock } = setUp({ rejected: 0.2, cancelled: 0.1 });
    for (let i = 0; i < 2000; i++) {
      model.placeOrder("krithik");
      model.makeShipment(null);
    }
    clock.time += 60 * MINUTE;
    const { orders, shipments } = model.truth();
    const cancelled = orders.filter(({ status }) => status === "CANCELLED").length;
    const rejected = shipments.filter(({ status }) => status === "REJECTED").length;
    assert.ok(Math.abs(cancelled - 200) < 30, `${cancelled} cancelled`);
    assert.ok(Math.abs(rejected - 400) < 60, `${rejected} rejected`);
  });

  it("cancels an active order at the drawn time, but not a finished one", async () => {
    const { model, clock, events } = setUp({ cancelled: 1 });
    const names = ["NEW", "PREPARATION", "IN_FLIGHT", "DELIVERED", "REJECTED"].map(
      () => model.placeOrder("krithik").name,
    );
    const [stays = "", prepared = "", flying = "", delivered = "", rejected = ""] = names;
    await model.updateOrder(prepared, "PREPARATION");
    await model.updateOrder(flying, "IN_FLIGHT");
    await model.updateOrder(delivered, "DELIVERED");
    await model.updateOrder(rejected, "REJECTED");
    clock.time += 60 * MINUTE;
    assert.deepEqual(new Set(await listed(model, "CANCELLED")), new Set([stays, prepared, flying]));
    assert.deepEqual(await listed(model, "DELIVERED"), [delivered]);
    assert.deepEqual(await listed(model, "REJECTED"), [rejected]);
    const event = events.find(({ name }) => name === stays);
    assert.ok(event?.kind === "order" && event.cancelAt !== null);
    assert.deepEqual(model.truth().orders[0]?.changes.at(-1), {
      status: "CANCELLED",
      at: new Date(event.cancelAt).toISOString(),
      by: "customer",
    });
    assert.equal((await model.getOrder(stays)).updatedAt, event.cancelAt);
  });

  it("cancels an active order immediately at a customer's request, but not a finished one", () => {
    const { model } = setUp();
    const { name } = model.placeOrder("krithik");
    assert.equal(model.cancelOrder(name).status, "CANCELLED");
    assert.throws(() => model.cancelOrder(name), failsWith("FAILED_PRECONDITION", `${name} is CANCELLED`));
    assert.throws(() => model.cancelOrder("orders/none"), failsWith("NOT_FOUND", "orders/none"));
  });

  it("updates without a precondition, and records who did it and when in the ground truth", async () => {
    const { model, clock } = setUp();
    const { name } = model.placeOrder("krithik");
    model.cancelOrder(name);
    clock.time += 1500;
    await model.updateOrder(name, "DELIVERED");
    assert.deepEqual(model.truth().orders, [
      {
        name,
        customerId: "krithik",
        status: "DELIVERED",
        changes: [
          { status: "NEW", at: "2026-01-01T00:00:00.000Z", by: "customer" },
          { status: "CANCELLED", at: "2026-01-01T00:00:00.000Z", by: "customer" },
          { status: "DELIVERED", at: "2026-01-01T00:00:01.500Z", by: "orchestrator" },
        ],
      },
    ]);
  });

  it("accepts an update to the same status, without a change in the ground truth", async () => {
    const { model, events } = setUp();
    const { name } = model.placeOrder("krithik");
    await model.updateOrder(name, "PREPARATION");
    await model.updateOrder(name, "PREPARATION");
    assert.equal(events.length, 2);
    assert.equal(model.truth().orders[0]?.changes.length, 2);
  });

  it("updates only the status, and never to UNKNOWN", () => {
    const { model } = setUp();
    const { name } = model.placeOrder("krithik");
    for (const mask of [[], ["customer_id"], ["status", "name"], ["*"]]) {
      assert.throws(() => model.changeOrder(name, "DELIVERED", mask), failsWith("INVALID_ARGUMENT", "update_mask"));
    }
    assert.throws(() => model.changeOrder(name, "UNKNOWN", ["status"]), failsWith("INVALID_ARGUMENT", "status"));
    assert.equal(model.truth().orders[0]?.status, "NEW");
  });

  it("returns NOT_FOUND with the name for an unknown name, and INVALID_ARGUMENT for an invalid one", async () => {
    const { model } = setUp();
    const gets = [model.getOrder, model.getKitchenOrder, model.getShipment].map((get) => get.bind(model));
    for (const get of gets) {
      await assert.rejects(get("orders/unknown"), failsWith("NOT_FOUND", "orders/unknown"));
      for (const name of ["", "x".repeat(100_000), "a\u0000b"]) {
        await assert.rejects(get(name), failsWith("INVALID_ARGUMENT", "name must"));
      }
    }
    for (const customer of ["", "x".repeat(100_000)]) {
      assert.throws(() => model.placeOrder(customer), failsWith("INVALID_ARGUMENT", "customer_id"));
    }
  });

  it("does not apply a create whose deadline has passed", async () => {
    const { model, clock, events } = setUp();
    const late = { idempotencyKey: "a", deadline: clock.time - 1 };
    for (const create of [model.createKitchenOrder(late), model.createShipment(late)]) {
      await assert.rejects(create, { code: "DEADLINE_EXCEEDED", sent: false });
    }
    assert.deepEqual(events, []);
  });

  it("returns the first result for a repeated key when it honours keys, separately for each kind", async () => {
    const { model, clock } = setUp({ honoursIdempotencyKey: true });
    const kitchen = await model.createKitchenOrder(options("a"));
    const shipment = await model.createShipment(options("a"));
    clock.time += 60 * MINUTE;
    assert.deepEqual(await model.createKitchenOrder(options("a")), await model.getKitchenOrder(kitchen.name));
    assert.equal((await model.createShipment(options("a"))).name, shipment.name);
    assert.notEqual((await model.createKitchenOrder(options("b"))).name, kitchen.name);
    assert.notEqual(model.makeShipment(null).name, model.makeShipment(null).name);
    const { kitchenOrders, shipments } = model.truth();
    assert.deepEqual(
      [kitchenOrders.map((made) => made.idempotencyKey), shipments.map((made) => made.idempotencyKey)],
      [
        ["a", "b"],
        ["a", null, null],
      ],
    );
  });

  it("creates again for a repeated key when it ignores keys, and the ground truth shows the key twice", async () => {
    const { model } = setUp();
    const first = await model.createKitchenOrder(options("a"));
    assert.notEqual((await model.createKitchenOrder(options("a"))).name, first.name);
    assert.deepEqual(
      model.truth().kitchenOrders.map((made) => made.idempotencyKey),
      ["a", "a"],
    );
  });

  it("lists one status, or every status as UNKNOWN, page by page", async () => {
    const { model } = setUp();
    const names = Array.from({ length: 7 }, () => model.placeOrder("krithik").name);
    await model.updateOrder(names[2] ?? "", "PREPARATION");
    assert.deepEqual(await listed(model, "UNKNOWN", 2), names);
    assert.deepEqual(await listed(model, "NEW", 4), names.toSpliced(2, 1));
    assert.deepEqual(await listed(model, "PREPARATION"), [names[2]]);
    assert.deepEqual(await listed(model, "DELIVERED"), []);
    const page = await model.listOrders({ status: "NEW", pageSize: 6, pageToken: "" });
    assert.deepEqual([page.orders.length, page.nextPageToken], [6, ""]);
  });

  it("uses the default page size for 0, and limits larger sizes to the maximum", async () => {
    const { model } = setUp();
    for (let i = 0; i < 1200; i++) model.placeOrder("krithik");
    const page = async (pageSize: number) => model.listOrders({ status: "NEW", pageSize, pageToken: "" });
    assert.equal((await page(0)).orders.length, 100);
    assert.equal((await page(2 ** 31 - 1)).orders.length, 1000);
  });

  it("rejects a negative page size, and a page token that is unknown or of another status", async () => {
    const { model } = setUp();
    for (let i = 0; i < 3; i++) model.placeOrder("krithik");
    const { nextPageToken } = await model.listOrders({ status: "NEW", pageSize: 1, pageToken: "" });
    const list = (status: OrderStatus, pageToken: string, pageSize = 1) =>
      model.listOrders({ status, pageSize, pageToken });
    await assert.rejects(list("NEW", "", -1), failsWith("INVALID_ARGUMENT", "page_size is -1"));
    await assert.rejects(list("UNKNOWN", nextPageToken), failsWith("INVALID_ARGUMENT", "page_token"));
    for (const token of ["x", "NEW", "NEW:", "NEW:-1", "NEW:3", "NEW:1e3", "NEW:99999999999999999", " "]) {
      await assert.rejects(list("NEW", token), failsWith("INVALID_ARGUMENT", "page_token"), token);
    }
  });

  it("changes nothing if an event can't be stored", async () => {
    let fails = false;
    const onEvent = () => {
      if (fails) throw new Error("disk full");
    };
    const { model } = setUp({ onEvent });
    const { name } = model.placeOrder("krithik");
    fails = true;
    const before = model.truth();
    assert.throws(() => model.placeOrder("krithik"), /disk full/);
    assert.throws(() => model.cancelOrder(name), /disk full/);
    await assert.rejects(model.updateOrder(name, "PREPARATION"), /disk full/);
    await assert.rejects(model.createShipment(options("a")), /disk full/);
    assert.deepEqual(model.truth(), before);
  });

  it("does not undo a cancellation when the clock goes back", async () => {
    const { model, clock } = setUp({ cancelled: 1 });
    const { name } = model.placeOrder("krithik");
    clock.time += 60 * MINUTE;
    assert.equal((await model.getOrder(name)).status, "CANCELLED");
    clock.time = START;
    model.changeOrder(name, "DELIVERED", ["status"]);
    assert.ok((model.truth().orders[0]?.changes.at(-1)?.at ?? "") >= new Date(START + 60 * MINUTE).toISOString());
  });

  it("assigns unique names even if the randomness repeats", () => {
    const { model } = setUp({ random: { uuid: () => "same", fraction: () => 0 } });
    model.placeOrder("krithik");
    assert.throws(() => model.placeOrder("krithik"), /orders\/same twice/);
  });

  it("lists few active orders equally fast beside many finished ones", async () => {
    const { model } = setUp();
    const place = (count: number) => Array.from({ length: count }, () => model.placeOrder("krithik").name);
    const active = place(5);
    for (const name of place(100_000)) await model.updateOrder(name, "DELIVERED");
    active.push(...place(5));
    const started = performance.now();
    for (let i = 0; i < 1000; i++) assert.deepEqual(await listed(model, "NEW"), active);
    const took = performance.now() - started;
    // Walking past the ended ones would take a hundred times as long.
    assert.ok(took < 1000, `1000 lists took ${took} ms`);
  }).timeout(20_000);
});

/** What may happen to the food service, by anybody. */
const happening = fc.oneof(
  fc.record({ kind: fc.constant("place" as const) }),
  fc.record({ kind: fc.constant("cook" as const), key: fc.constantFrom("a", "b", null) }),
  fc.record({ kind: fc.constant("fly" as const), key: fc.constantFrom("a", "b", null) }),
  fc.record({ kind: fc.constant("cancel" as const), which: fc.nat() }),
  fc.record({
    kind: fc.constant("change" as const),
    which: fc.nat(),
    status: fc.constantFrom("NEW" as const, "PREPARATION" as const, "IN_FLIGHT" as const, "DELIVERED" as const),
  }),
  fc.record({ kind: fc.constant("wait" as const), minutes: fc.nat(9) }),
);

type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

function happen(happening: Happening, names: string[], { model, clock }: ReturnType<typeof setUp>): void {
  const pick = (which: number) => names[which % names.length];
  switch (happening.kind) {
    case "place":
      names.push(model.placeOrder("krithik").name);
      break;
    case "cook":
      model.makeKitchenOrder(happening.key);
      break;
    case "fly":
      model.makeShipment(happening.key);
      break;
    case "wait":
      clock.time += happening.minutes * MINUTE;
      break;
    case "change":
    case "cancel": {
      const name = pick(happening.which);
      if (name === undefined) break;
      if (happening.kind === "change") model.changeOrder(name, happening.status, ["status"]);
      else if (["NEW", "PREPARATION", "IN_FLIGHT"].includes(statusIn(model, name))) model.cancelOrder(name);
    }
  }
}

function statusIn(model: FoodServiceModel, name: string): OrderStatus {
  return model.truth().orders.find((order) => order.name === name)?.status ?? assert.fail();
}

describe("the food service's model, whatever happens to it", () => {
  it("has the same ground truth, pages and keys after a replay, without new randomness or events", async () => {
    const statuses = ["UNKNOWN", "NEW", "PREPARATION", "IN_FLIGHT", "DELIVERED", "CANCELLED"] as const;
    await fc.assert(
      fc.asyncProperty(
        fc.array(happening, { maxLength: 60 }),
        fc.boolean(),
        async (happenings, honoursIdempotencyKey) => {
          const world = setUp({ cancelled: 0.5, rejected: 0.5, honoursIdempotencyKey });
          const names: string[] = [];
          for (const each of happenings) happen(each, names, world);
          const none = () => assert.fail("a replay must not draw or emit");
          const again = new FoodServiceModel({
            clock: world.clock,
            random: { uuid: none, fraction: none },
            onEvent: none,
            honoursIdempotencyKey: true,
          });
          for (const event of world.events) again.replay(event);
          for (const later of [0, 7, 60]) {
            world.clock.time += later * MINUTE;
            assert.deepEqual(again.truth(), world.model.truth());
            for (const status of statuses) {
              const pages = await Promise.all(
                [again, world.model].map((model) => model.listOrders({ status, pageSize: 2, pageToken: "" })),
              );
              assert.deepEqual(pages[0], pages[1]);
              assert.deepEqual(await listed(again, status, 2), await listed(world.model, status, 2));
            }
          }
          const first = world.model.truth().kitchenOrders.find((made) => made.idempotencyKey === "a");
          if (first) assert.equal(again.makeKitchenOrder("a").name, first.name);
        },
      ),
    );
  });

  it("lists each order that keeps its status on exactly one page, while others come and go between pages", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 20 }),
        fc.array(happening, { maxLength: 300 }),
        async (count, pageSize, happenings) => {
          const world = setUp();
          const names = Array.from({ length: count }, () => world.model.placeOrder("krithik").name);
          const moved = new Set<string>();
          const queue = [...happenings];
          const seen: string[] = [];
          let pageToken = "";
          do {
            const page = await world.model.listOrders({ status: "NEW", pageSize, pageToken });
            seen.push(...page.orders.map((order) => order.name));
            pageToken = page.nextPageToken;
            for (const each of queue.splice(0, 20)) {
              if ("which" in each) moved.add(names[each.which % names.length] ?? assert.fail());
              happen(each, names, world);
            }
          } while (pageToken !== "");
          const unmoved = names.slice(0, count).filter((name) => !moved.has(name));
          assert.deepEqual(
            seen.filter((name) => unmoved.includes(name)),
            unmoved,
          );
        },
      ),
    );
  });
});

describe("a replay", () => {
  it("rejects an invalid event, and one that contradicts the events before it", () => {
    const { model, events } = setUp();
    const { name } = model.placeOrder("krithik");
    model.cancelOrder(name);
    const again = setUp().model;
    for (const wrong of [
      null,
      7,
      "order",
      {},
      { kind: "order" },
      { ...events[0], at: "now" },
      { ...events[0], more: 1 },
    ]) {
      assert.throws(() => again.replay(wrong), ValidationError);
    }
    assert.throws(() => again.replay(events[1]), /does not exist/);
    again.replay(events[0]);
    assert.throws(() => again.replay(events[0]), /created before/);
    assert.equal(again.truth().orders.length, 1);
  });
});
