import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { FoodServiceModel } from "../../../services/food-service/model/food-service-model.js";
import { ManualClock } from "../adapters/memory/clock.js";
import { seededRandomness } from "../adapters/memory/random.js";
import { MemoryStore } from "../adapters/memory/store.js";
import { AlreadyLinkedError, ConflictError } from "../domain/errors.js";
import type { Fields } from "../ports.js";
import { closingEntry, linkEntry } from "../relations/history.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
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
    const result = await decide();
    assert.equal(store.peek(path)?.fields.state, "FAILED");
    assert.deepEqual(await audits(), ["try again"]);
    assert.ok(result.outcome === "advanced");
    assert.deepEqual(result.entry, store.peek(result.entry.path), "the recorded entry is returned");
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
    await assert.rejects(decide({ link: name }), (error: unknown) => {
      assert.ok(error instanceof AlreadyLinkedError);
      assert.equal(error.message, `${name} is linked to orders/other already`);
      return true;
    });
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

/** One order with an attempt that waits for an operator as this code says, and with this relation. */
async function bedFor(code: string, relation?: Fields, attempt: Fields = {}): Promise<TestBed> {
  const bed = testBed();
  const name = "orders/1";
  bed.food.orders.set(name, { name, customerId: "ada", status: "PREPARATION", placedAt: new Date(60_000) });
  if (relation) await bed.store.set("relations/1", { schema: 1, ...relation });
  await bed.store.set("attempts/kitchen:1", {
    schema: 1,
    order: name,
    stage: "kitchen",
    id: "claim-1",
    state: "PARKED",
    policy: "park",
    tries: 3,
    reason: { code, message: "why" },
    ...attempt,
  });
  return bed;
}

describe("what a decision does", () => {
  const BY = { order: "orders/1", stage: "kitchen", by: "ana", reason: "asked the kitchen" } as const;
  const RETRY = { ...BY };
  const DISMISS = { ...BY, dismiss: true } as const;
  const LINK = { ...BY, link: "kitchenorders/9" } as const;
  const LOOKS = { since: new Date(0), last: new Date(0), looks: 3 };
  const REPORT = { tries: 3, nextTryAt: new Date(0), state: "PREPARATION", code: "REPORT_REJECTED" };
  const PREPARED = { state: "PREPARATION", kitchen: "kitchenorders/1" };

  const relationOf = (bed: TestBed) => bed.store.fields("relations/1");
  const attemptOf = (bed: TestBed) => bed.store.fields("attempts/kitchen:1");
  async function apply(bed: TestBed, resolution: Resolution) {
    const result = await resolveAttempt(resolution, bed.ports);
    assert.equal(result.outcome, "advanced", JSON.stringify(result));
    return result.outcome === "advanced" ? result.to : undefined;
  }

  it("has a create that failed tried again from the start", async () => {
    const bed = await bedFor("INVALID_ARGUMENT");
    assert.equal(await apply(bed, RETRY), "FAILED");
    const { state, tries, nextTryAt, reason, id } = (await attemptOf(bed)) ?? {};
    assert.deepEqual({ state, tries, reason, id }, { state: "FAILED", tries: 0, reason: null, id: "claim-1" });
    assert.deepEqual(nextTryAt, new Date(bed.clock.now()));
  });

  for (const code of ["REPORT_REJECTED", "REPORT_IGNORED"]) {
    it(`has a status reported again at once (${code}), and leaves other trouble`, async () => {
      const bed = await bedFor(code, { ...PREPARED, trouble: { report: REPORT, missing: LOOKS } });
      assert.equal(await apply(bed, RETRY), "RESUMED");
      assert.equal(await attemptOf(bed), undefined);
      assert.deepEqual((await relationOf(bed))?.trouble, { missing: LOOKS });
    });
  }

  it("has a cancelled order continue that is active again", async () => {
    const bed = await bedFor("ACTIVE_AFTER_CANCELLATION", {
      state: "CANCELLED",
      kitchen: "kitchenorders/1",
      trouble: { activeAgain: new Date(0) },
    });
    assert.equal(await apply(bed, RETRY), "RESUMED");
    const { state, trouble } = (await relationOf(bed)) ?? {};
    assert.deepEqual({ state, trouble }, { state: "PREPARATION", trouble: null });
    assert.equal(await attemptOf(bed), undefined);
  });

  it("leaves a relation unchanged that was reopened concurrently or has no links", async () => {
    for (const relation of [
      { ...PREPARED, note: "x" },
      { state: "CANCELLED", note: "x" },
    ]) {
      const bed = await bedFor("ACTIVE_AFTER_CANCELLATION", relation);
      assert.equal(await apply(bed, RETRY), "RESUMED");
      assert.deepEqual(await relationOf(bed), { schema: 1, ...relation });
    }
  });

  it("has a new order start under a name that was used before", async () => {
    const bed = await bedFor("ORDER_REPLACED", { ...PREPARED, placedAt: new Date(0) });
    assert.equal(await apply(bed, RETRY), "RESUMED");
    assert.deepEqual([await relationOf(bed), await attemptOf(bed)], [undefined, undefined]);
    const without = await bedFor("ORDER_REPLACED");
    assert.equal(await apply(without, RETRY), "RESUMED");
    assert.equal(await attemptOf(without), undefined);
  });

  it("has what was lost created once more: its link no longer counts, and the order goes back to the state before", async () => {
    const trouble = { missingLink: { ...LOOKS, name: "kitchenorders/1" }, missing: LOOKS };
    const bed = await bedFor("LINK_NOT_FOUND", { ...PREPARED, trouble });
    assert.equal(await apply(bed, RETRY), "FAILED");
    const { state, kitchen, discarded, trouble: left } = (await relationOf(bed)) ?? {};
    assert.deepEqual(
      { state, kitchen, discarded, left },
      {
        state: "PREPARATION",
        kitchen: "kitchenorders/1",
        discarded: { kitchen: "kitchenorders/1" },
        left: { missing: LOOKS },
      },
    );
    assert.equal((await attemptOf(bed))?.state, "FAILED");
  });

  it("discards a lost shipment and keeps its meal", async () => {
    const bed = await bedFor("LINK_NOT_FOUND", { ...PREPARED, state: "IN_FLIGHT", shipment: "shipments/1" });
    const fields = { ...(await attemptOf(bed)), stage: "shipment" };
    await bed.store.set("attempts/shipment:1", fields);
    assert.equal(await apply(bed, { ...RETRY, stage: "shipment" }), "FAILED");
    const { state, discarded } = (await relationOf(bed)) ?? {};
    assert.deepEqual({ state, discarded }, { state: "PREPARATION", discarded: { shipment: "shipments/1" } });
  });

  it("discards no link of an order that was closed concurrently", async () => {
    const bed = await bedFor("LINK_NOT_FOUND", { ...PREPARED, state: "CANCELLED" });
    assert.equal(await apply(bed, RETRY), "FAILED");
    assert.deepEqual(await relationOf(bed), { schema: 1, ...PREPARED, state: "CANCELLED" });
  });

  it("discards no link of an order that has none any more", async () => {
    const relation = {
      ...PREPARED,
      discarded: { kitchen: "kitchenorders/1" },
      state: "IN_FLIGHT",
      shipment: "shipments/1",
    };
    const bed = await bedFor("LINK_NOT_FOUND", relation);
    assert.equal(await apply(bed, RETRY), "FAILED");
    assert.deepEqual(await relationOf(bed), { schema: 1, ...relation });
  });

  it("closes for good what is dismissed", async () => {
    const bed = await bedFor("INVALID_ARGUMENT", PREPARED, {
      nextTryAt: new Date(5),
      leaseUntil: new Date(5),
      state: "UNCERTAIN",
    });
    assert.equal(await apply(bed, DISMISS), "CLOSED");
    const { state, isDismissed, nextTryAt, leaseUntil, reason } = (await attemptOf(bed)) ?? {};
    assert.deepEqual(
      { state, isDismissed, nextTryAt, leaseUntil },
      { state: "CLOSED", isDismissed: true, nextTryAt: null, leaseUntil: null },
    );
    assert.deepEqual(reason, { code: "INVALID_ARGUMENT", message: "why" });
    assert.deepEqual(await relationOf(bed), { schema: 1, ...PREPARED });
  });

  it("closes the relation of a missing order that is dismissed, with an entry in the history", async () => {
    const bed = await bedFor("ORDER_NOT_FOUND", { ...PREPARED, trouble: { missing: LOOKS } });
    assert.equal(await apply(bed, DISMISS), "CLOSED");
    const { state, times, trouble } = (await relationOf(bed)) ?? {};
    assert.deepEqual(
      { state, times, trouble },
      { state: "GONE", times: { GONE: new Date(bed.clock.now()) }, trouble: null },
    );
    const entries = bed.store.writes.filter(({ path }) => path.startsWith("history/"));
    assert.equal(entries.length, 1);
    assert.match(JSON.stringify(entries[0]), /"order":"orders\/1","state":"GONE"/);
    const closed = await bedFor("ORDER_NOT_FOUND", { ...PREPARED, state: "CANCELLED" });
    await apply(closed, DISMISS);
    assert.equal((await relationOf(closed))?.state, "CANCELLED");
  });

  it("closes the relation of an order that was missing and closed before, with another entry in the history", async () => {
    const bed = await bedFor("ORDER_NOT_FOUND", PREPARED);
    await bed.store.memory.commit([closingEntry("orders/1", "GONE", 0)]);
    assert.equal(await apply(bed, DISMISS), "CLOSED");
    assert.equal((await relationOf(bed))?.state, "GONE");
    assert.equal(bed.store.memory.all("history").length, 2);
  });

  it("needs no relation", async () => {
    for (const [code, decision, to] of [
      ["REPORT_REJECTED", RETRY, "RESUMED"],
      ["ORDER_REPLACED", DISMISS, "CLOSED"],
      ["LINK_NOT_FOUND", RETRY, "FAILED"],
    ] as const) {
      const bed = await bedFor(code);
      assert.equal(await apply(bed, decision), to);
      assert.equal(await relationOf(bed), undefined);
    }
  });

  it("links again what was lost and found, which has its entry in the history", async () => {
    const trouble = { missingLink: { ...LOOKS, name: "kitchenorders/9" } };
    const bed = await bedFor("LINK_NOT_FOUND", { ...PREPARED, kitchen: "kitchenorders/9", trouble });
    bed.food.kitchenOrders.set("kitchenorders/9", { name: "kitchenorders/9", status: "NEW" });
    await bed.store.memory.commit([linkEntry("orders/1", "kitchen", "kitchenorders/9", 0, "claim-0")]);
    assert.equal(await apply(bed, LINK), "LINKED");
    assert.equal((await relationOf(bed))?.kitchen, "kitchenorders/9");
    assert.equal(await attemptOf(bed), undefined);
    const claims = bed.store.memory.all("history").map(({ fields }) => fields.claim);
    assert.deepEqual(claims, ["claim-0"]);
  });

  it("takes an order for the same that has another creation time, if that is dismissed", async () => {
    const bed = await bedFor("ORDER_REPLACED", { ...PREPARED, placedAt: new Date(0) });
    assert.equal(await apply(bed, DISMISS), "CLOSED");
    assert.deepEqual((await relationOf(bed))?.placedAt, new Date(60_000));
    const unsaid = await bedFor("ORDER_REPLACED", { ...PREPARED, placedAt: new Date(0) });
    unsaid.food.orders.set("orders/1", { name: "orders/1", customerId: "ada", status: "NEW" });
    await apply(unsaid, DISMISS);
    assert.deepEqual((await relationOf(unsaid))?.placedAt, new Date(0));
    const unstorable = await bedFor("ORDER_REPLACED", { ...PREPARED, placedAt: new Date(0) });
    const placedAt = new Date(8.64e15);
    unstorable.food.orders.set("orders/1", { name: "orders/1", customerId: "ada", status: "NEW", placedAt });
    await apply(unstorable, DISMISS);
    assert.deepEqual((await relationOf(unstorable))?.placedAt, new Date(0));
  });

  it("links what was found, with its entry in the history, and deletes the attempt", async () => {
    const bed = await bedFor("INVALID_ARGUMENT");
    bed.food.kitchenOrders.set("kitchenorders/9", { name: "kitchenorders/9", status: "NEW" });
    assert.equal(await apply(bed, LINK), "LINKED");
    const { kitchen, state, customerId } = (await relationOf(bed)) ?? {};
    assert.deepEqual(
      { kitchen, state, customerId },
      { kitchen: "kitchenorders/9", state: "PREPARATION", customerId: "ada" },
    );
    const entry = bed.store.writes.find(({ path }) => path.startsWith("history/"));
    assert.match(
      JSON.stringify(entry),
      /"order":"orders\/1","state":"PREPARATION","kitchen":"kitchenorders\/9".*"claim":"claim-1"/,
    );
    assert.equal(bed.store.memory.all("audit")[0]?.fields.name, "kitchenorders/9");
    assert.equal(await attemptOf(bed), undefined);
  });

  it("links nothing that an earlier order of this name had", async () => {
    for (const relation of [undefined, { ...PREPARED, kitchen: "kitchenorders/1" }]) {
      const bed = await bedFor(relation ? "LINK_NOT_FOUND" : "INVALID_ARGUMENT", relation);
      bed.food.kitchenOrders.set("kitchenorders/9", { name: "kitchenorders/9", status: "PACKAGED" });
      await bed.store.commit([linkEntry("orders/1", "kitchen", "kitchenorders/9", 0, "claim-0")]);
      await assert.rejects(resolveAttempt(LINK, bed.ports), AlreadyLinkedError);
      assert.equal((await relationOf(bed))?.kitchen, relation?.kitchen);
      assert.equal((await attemptOf(bed))?.state, "PARKED");
    }
  });

  it("links nothing that another order has, although the relation names it", async () => {
    const bed = await bedFor("LINK_NOT_FOUND", { ...PREPARED, kitchen: "kitchenorders/9" });
    bed.food.kitchenOrders.set("kitchenorders/9", { name: "kitchenorders/9", status: "PACKAGED" });
    await bed.store.commit([linkEntry("orders/other", "kitchen", "kitchenorders/9", 0, "claim-0")]);
    await assert.rejects(resolveAttempt(LINK, bed.ports), AlreadyLinkedError);
  });

  it("closes for good: what is dismissed is never deleted by a time-to-live policy", async () => {
    const bed = await bedFor("INVALID_ARGUMENT");
    assert.equal(await apply(bed, DISMISS), "CLOSED");
    assert.equal((await attemptOf(bed))?.expireAt ?? null, null);
  });

  it("is on record with who decided what, why and when, for two years", async () => {
    const bed = await bedFor("INVALID_ARGUMENT");
    await apply(bed, { ...RETRY, by: `ana\ud800`, reason: "x".repeat(2_000), key: "k" });
    const { path, fields } = bed.store.writes[0] as { path: string; fields: Fields };
    assert.match(path, /^audit\/[0-9a-f-]{36}$/);
    const { request, reason, ...rest } = fields;
    const at = new Date(bed.clock.now());
    const expireAt = new Date(at.getTime() + 730 * 24 * 3_600_000);
    assert.deepEqual(rest, {
      schema: 1,
      at,
      expireAt,
      order: "orders/1",
      stage: "kitchen",
      action: "try again",
      to: "FAILED",
      name: null,
      by: "ana\ufffd",
    });
    assert.equal(Buffer.byteLength(String(reason)), 1_500);
    assert.match(String(request), /^[0-9a-f]{64}$/);
  });
});

describe("a decision that is not applied", () => {
  const KEY_REUSED = "This idempotency key was used for another decision; use a new key for each decision";
  const BY = { order: "orders/1", stage: "kitchen", by: "ana", reason: "asked the kitchen" } as const;
  const LINKED = { state: "PREPARATION", kitchen: "kitchenorders/1" };

  async function rejection(bed: TestBed, resolution: Resolution) {
    const result = await resolveAttempt(resolution, bed.ports);
    assert.deepEqual(bed.store.commits, []);
    return result.outcome === "blocked" ? [result.code, result.reason] : result;
  }

  it("says that there is no attempt, or which link there is instead", async () => {
    const bed = testBed();
    assert.deepEqual(await rejection(bed, BY), ["no attempt", "There is no kitchen attempt of orders/1"]);
    await bed.store.set("relations/1", { schema: 1, ...LINKED });
    const linked = ["linked already", "orders/1 is linked to kitchenorders/1 already"];
    assert.deepEqual(await rejection(bed, BY), linked);
    assert.deepEqual(await rejection(bed, { ...BY, link: "kitchenorders/2" }), linked);
  });

  it("says that the order is linked already, if another link is chosen", async () => {
    const bed = await bedFor("INVALID_ARGUMENT", LINKED);
    const linked = ["linked already", "orders/1 is linked to kitchenorders/1 already"];
    assert.deepEqual(await rejection(bed, { ...BY, link: "kitchenorders/2" }), linked);
  });

  for (const [what, seen] of [
    ["version", { version: "old" }],
    ["claim", { claim: "another" }],
  ] as const) {
    it(`says that the attempt has another ${what} now`, async () => {
      const bed = await bedFor("INVALID_ARGUMENT");
      const reason = "The kitchen attempt of orders/1 has changed since you loaded it; it is PARKED now";
      assert.deepEqual(await rejection(bed, { ...BY, ...seen }), ["changed", reason]);
    });
  }

  it("is applied if the version and the claim are those that the operator saw", async () => {
    const bed = await bedFor("INVALID_ARGUMENT");
    const [found] = await bed.store.read("attempts/kitchen:1");
    const seen = { version: found?.version ?? "", claim: "claim-1" };
    assert.equal((await resolveAttempt({ ...BY, ...seen }, bed.ports)).outcome, "advanced");
  });

  for (const state of ["SENDING", "FAILED", "CLOSED"]) {
    it(`says that an attempt that is ${state} waits for no operator`, async () => {
      const bed = await bedFor("INVALID_ARGUMENT", undefined, { state });
      assert.deepEqual(await rejection(bed, BY), ["not waiting", `The kitchen attempt of orders/1 is ${state}`]);
    });
  }

  it("says what is possible instead", async () => {
    const stranded = await bedFor("STRANDED");
    const [code, reason] = (await rejection(stranded, BY)) as string[];
    assert.equal(code, "must be linked");
    assert.match(reason ?? "", /^No request was sent for orders\/1, .*link what it created$/);
    const missing = await bedFor("ORDER_NOT_FOUND");
    const possible = "The kitchen attempt of orders/1 is parked as ORDER_NOT_FOUND: dismiss is possible, retry is not";
    assert.deepEqual(await rejection(missing, BY), ["not possible", possible]);
    const rejected = await bedFor("REPORT_REJECTED");
    const [, both] = (await rejection(rejected, { ...BY, link: "kitchenorders/2" })) as string[];
    assert.match(both ?? "", /retry or dismiss is possible, link is not$/);
    const [changed] = (await rejection(missing, { ...BY, version: "old" })) as string[];
    assert.equal(changed, "changed", "another action may be possible now");
  });

  it("names the order or the link that can't be one", async () => {
    const { ports } = await bedFor("INVALID_ARGUMENT");
    await assert.rejects(resolveAttempt({ ...BY, order: "pizza/1" }, ports), /pizza\/1/);
    await assert.rejects(resolveAttempt({ ...BY, link: "shipments/1" }, ports), /shipments\/1 can't be the name/);
  });

  it("is repeated with the same result under the same key, and refused if it is another decision", async () => {
    const bed = await bedFor("INVALID_ARGUMENT");
    const decision = { ...BY, key: "k", version: undefined, claim: "claim-1" };
    const first = await resolveAttempt(decision as unknown as Resolution, bed.ports);
    const again = await resolveAttempt(decision as unknown as Resolution, bed.ports);
    assert.deepEqual(
      [first.outcome === "advanced" && first.isRepeat, again.outcome === "advanced" && again.isRepeat],
      [false, true],
    );
    assert.equal(again.outcome === "advanced" && again.to, "FAILED");
    const waiting = await bedFor("INVALID_ARGUMENT");
    for (const isRepeat of [false, true]) {
      const closed = await resolveAttempt({ ...BY, dismiss: true, key: "k" }, waiting.ports);
      assert.ok(closed.outcome === "advanced");
      assert.deepEqual([closed.to, closed.isRepeat], ["CLOSED", isRepeat]);
    }
    for (const other of [
      { reason: "another" },
      { claim: "claim-2" },
      { dismiss: true as const },
      { version: "7" },
      { stage: "shipment" as const },
    ]) {
      const result = await resolveAttempt({ ...BY, key: "k", claim: "claim-1", ...other }, bed.ports);
      assert.ok(result.outcome === "blocked");
      assert.deepEqual([result.code, result.reason], ["key reused", KEY_REUSED], JSON.stringify(other));
    }
  });

  it("has the same fingerprint in every build, so a repeat is known after a deploy", async () => {
    const link = "kitchenorders/9";
    const claim = "claim-1";
    const common = { order: "orders/1", reason: BY.reason, stage: "kitchen" };
    for (const [decision, fields] of [
      [{}, { link: null, ...common, version: null }],
      [{ dismiss: true }, { dismiss: "yes", link: null, ...common, version: null }],
      [
        { link, claim },
        { claim, link, ...common, version: null },
      ],
    ] as const) {
      const bed = await bedFor("INVALID_ARGUMENT");
      bed.food.kitchenOrders.set(link, { name: link, status: "NEW" });
      await resolveAttempt({ ...BY, ...decision, key: "k" }, bed.ports);
      const text = JSON.stringify(Object.entries(fields));
      const [entry] = bed.store.memory.all("audit");
      assert.equal(entry?.fields.request, createHash("sha256").update(text).digest("hex"));
    }
  });

  it("is a conflict if the attempt changes at that moment, and known as ours if the reply was lost", async () => {
    const bed = await bedFor("INVALID_ARGUMENT");
    bed.store.hooks.once("commit", "after", () => {
      throw new ConflictError("our own write was retried");
    });
    const result = await resolveAttempt({ ...BY, key: "k" }, bed.ports);
    assert.equal(result.outcome === "advanced" && result.isRepeat, true);
    const raced = await bedFor("INVALID_ARGUMENT");
    raced.store.hooks.once("commit", "before", () => raced.store.set("attempts/kitchen:1", { tries: 4 }));
    await assert.rejects(resolveAttempt({ ...BY, key: "k" }, raced.ports), ConflictError);
  });

  it("of an older build says what it led to", async () => {
    for (const [link, to] of [
      [undefined, "FAILED"],
      ["kitchenorders/9", "LINKED"],
    ] as const) {
      const bed = await bedFor("INVALID_ARGUMENT");
      bed.food.kitchenOrders.set("kitchenorders/9", { name: "kitchenorders/9", status: "NEW" });
      const decision = { ...BY, key: "k", ...(link && { link }) };
      await resolveAttempt(decision, bed.ports);
      const entry = bed.store.writes[0]?.path ?? "";
      await bed.store.set(entry, { to: "SOMETHING" });
      const again = await resolveAttempt(decision, bed.ports);
      assert.equal(again.outcome === "advanced" && again.to, to);
    }
  });
});
