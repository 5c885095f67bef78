import assert from "node:assert/strict";
import { FoodServiceModel } from "../../../services/food-service/model/food-service-model.js";
import { ManualClock } from "../adapters/memory/clock.js";
import { seededRandomness } from "../adapters/memory/random.js";
import { MemoryStore } from "../adapters/memory/store.js";
import { AlreadyLinkedError, ConflictError } from "../domain/errors.js";
import type { Fields } from "../ports.js";
import { linkEntry } from "../relations/history.js";
import { claimFields } from "./attempt.js";
import { type Resolution, resolveAttempt } from "./resolve-attempt.js";

describe("an operator's decision", () => {
  const clock = new ManualClock();
  const random = seededRandomness(1);
  let food: FoodServiceModel;
  let store: MemoryStore;
  let order: string;
  let path: string;

  const decide = (given: Partial<Resolution> = {}) =>
    resolveAttempt(
      { order, stage: "kitchen", by: "ana", reason: "asked the kitchen", ...given },
      { store, food, clock, random },
    );

  const attemptIs = (state: string): Promise<unknown> => {
    const claim = {
      order,
      stage: "kitchen",
      id: "a",
      policy: "park",
      tries: 1,
      claimedAt: 0,
      leaseUntil: clock.now(),
    } as const;
    return store.commit([{ kind: "create", path, fields: { ...claimFields(claim), state } }]);
  };

  const audits = async () => {
    const by = { collection: "audit", field: "by", oneOf: ["ana"], limit: 9 };
    return (await store.query(by)).map(({ fields }) => fields.action);
  };

  beforeEach(async () => {
    food = new FoodServiceModel({ clock, random });
    store = new MemoryStore();
    order = food.placeOrder("krithik").name;
    path = `attempts/kitchen:${order.slice("orders/".length)}`;
  });

  const relation = (): Fields | undefined => store.peek(`relations/${order.slice("orders/".length)}`)?.fields;

  it("links the found resource, settles the attempt, and is recorded", async () => {
    await attemptIs("UNCERTAIN");
    const { name } = food.makeKitchenOrder(null);
    assert.equal((await decide({ link: name })).outcome, "advanced");
    assert.equal(relation()?.kitchen, name);
    assert.equal(store.peek(path), undefined);
    assert.deepEqual(await audits(), ["link"]);
  });

  it("makes the next poll retry the create if nothing was created", async () => {
    await attemptIs("UNCERTAIN");
    assert.equal((await decide()).outcome, "advanced");
    assert.equal(store.peek(path)?.fields.state, "FAILED");
    assert.deepEqual(await audits(), ["try again"]);
  });

  it("is rejected for an attempt that needs no decision, and for an order without an attempt", async () => {
    assert.equal((await decide()).outcome, "blocked");
    await attemptIs("SENDING");
    assert.equal((await decide()).outcome, "blocked");
    assert.deepEqual(await audits(), []);
  });

  it("links no name that the food service does not know, or that can't be a kitchen order's", async () => {
    await attemptIs("UNCERTAIN");
    await assert.rejects(decide({ link: "kitchenorders/none" }), { code: "NOT_FOUND" });
    await assert.rejects(decide({ link: "shipments/1" }), { name: "ValidationError" });
    assert.equal(relation(), undefined);
  });

  it("links no resource that another order has", async () => {
    await attemptIs("UNCERTAIN");
    const { name } = food.makeKitchenOrder(null);
    await store.commit([linkEntry("orders/other", "kitchen", name, clock.now())]);
    await assert.rejects(decide({ link: name }), AlreadyLinkedError);
    assert.equal(relation(), undefined);
  });

  it("changes nothing if the attempt changes while the decision is applied", async () => {
    await attemptIs("UNCERTAIN");
    const { name } = food.makeKitchenOrder(null);
    const lookUp = food.getOrder.bind(food);
    food.getOrder = async (asked) => {
      const version = store.peek(path)?.version ?? "";
      await store.commit([{ kind: "update", path, version, fields: { state: "CLOSED" } }]);
      return lookUp(asked);
    };
    await assert.rejects(decide({ link: name }), ConflictError);
    assert.deepEqual([relation(), await audits()], [undefined, []]);
  });
});
