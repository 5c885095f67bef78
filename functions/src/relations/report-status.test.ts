import assert from "node:assert/strict";
import { resolveAttempt } from "../attempts/resolve-attempt.js";
import { callError, StoreError } from "../domain/errors.js";
import type { OrderStatus } from "../domain/order-lifecycle.js";
import type { Fields } from "../ports.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { relationIn } from "./relation.js";
import { reportAgain, reportStatus, writeTrouble } from "./report-status.js";
import { sweep } from "./sweep.js";

const HOUR_MS = 3_600_000;

async function bedWith(update: () => void): Promise<{ bed: TestBed; updates: number[] }> {
  const bed = testBed();
  const updates: number[] = [];
  bed.food.orders.set("orders/1", { name: "orders/1", customerId: "krithik", status: "NEW" });
  bed.food.updateOrder = async () => {
    updates.push(bed.clock.now());
    update();
  };
  const times = { PREPARATION: new Date(bed.clock.now()) };
  await bed.store.set("relations/1", { schema: 1, state: "PREPARATION", kitchen: "kitchenorders/1", times });
  return { bed, updates };
}

async function run(report: typeof reportStatus, { ports }: TestBed) {
  const [snapshot] = await ports.store.read("relations/1");
  const relation = relationIn(snapshot);
  assert.ok(snapshot && relation);
  return report(snapshot, relation, ports);
}

/** Reports again every minute for a day; resolves with the number of calls to read the order. */
async function reportForADay(bed: TestBed): Promise<number> {
  let calls = 0;
  const { getOrder } = bed.food;
  bed.food.getOrder = (name) => {
    calls++;
    return getOrder(name);
  };
  for (let minutes = 0; minutes < 24 * 60; minutes++) {
    await run(reportAgain, bed);
    bed.clock.advance(60_000);
  }
  return calls;
}

describe("reporting a status", () => {
  it("has the outcome reported, since the order advanced earlier", async () => {
    const { bed } = await bedWith(() => {});
    assert.deepEqual(await run(reportStatus, bed), { outcome: "reported", to: "PREPARATION" });
  });

  it("is not repeated for an order that has the status, or a relation that has no state", async () => {
    const { bed, updates } = await bedWith(() => {});
    bed.food.orders.set("orders/1", { name: "orders/1", customerId: "krithik", status: "IN_FLIGHT" });
    const reason = "the order is IN_FLIGHT already";
    assert.deepEqual(await run(reportAgain, bed), { outcome: "skipped", reason });
    await bed.store.set("relations/2", { note: "x" });
    const [snapshot] = await bed.ports.store.read("relations/2");
    const relation = relationIn(snapshot);
    assert.ok(snapshot && relation);
    const empty = { outcome: "skipped", reason: "a relation that is empty is not reported" };
    assert.deepEqual(await reportAgain(snapshot, relation, bed.ports), empty);
    assert.deepEqual(updates, []);
  });

  it("is repeated with the outcome skipped while an order is behind its relation for less than a minute", async () => {
    const { bed, updates } = await bedWith(() => {});
    for (let poll = 1; poll <= 3; poll++) {
      const outcome = await run(reportAgain, bed);
      assert.deepEqual(outcome, { outcome: "skipped", reason: "PREPARATION is reported again" });
      assert.equal(updates.length, poll);
      bed.clock.advance(5_000);
    }
    assert.equal(await bed.store.field("relations/1", "trouble"), undefined);
  });
});

describe("a report that the food service acknowledges and ignores", () => {
  const attemptCode = async (bed: TestBed, path: string) => {
    const { state, reason } = (await bed.store.fields(path)) ?? {};
    return [state, (reason as Fields | undefined)?.code];
  };

  it("is retried with growing backoff and no call in between, and needs an operator after the third try", async () => {
    const { bed, updates } = await bedWith(() => {});
    const calls = await reportForADay(bed);
    assert.ok(updates.length >= 20 && updates.length <= 34, `${updates.length} updates in a day`);
    assert.equal(calls, updates.length);
    assert.deepEqual(await attemptCode(bed, "attempts/kitchen:1"), ["PARKED", "REPORT_IGNORED"]);
  });

  it("parks the shipment attempt if the order's final status is ignored", async () => {
    const { bed } = await bedWith(() => {});
    bed.food.orders.set("orders/1", { name: "orders/1", customerId: "krithik", status: "IN_FLIGHT" });
    const times = { DELIVERED: new Date(bed.clock.now()) };
    await bed.store.set("relations/1", { schema: 1, state: "DELIVERED", kitchen: "k/1", shipment: "s/1", times });
    for (let tries = 0; tries < 4; tries++) {
      bed.clock.advance(HOUR_MS);
      await run(reportAgain, bed);
    }
    assert.deepEqual(await attemptCode(bed, "attempts/shipment:1"), ["PARKED", "REPORT_IGNORED"]);
  });

  it("does not delay the report of the next status", async () => {
    const { bed, updates } = await bedWith(() => {});
    bed.clock.advance(HOUR_MS);
    await run(reportAgain, bed);
    const times = { IN_FLIGHT: new Date(bed.clock.now()) };
    const trouble = (await bed.store.field("relations/1", "trouble")) ?? null;
    await bed.store.set("relations/1", {
      schema: 1,
      state: "IN_FLIGHT",
      kitchen: "k/1",
      shipment: "s/1",
      times,
      trouble,
    });
    assert.deepEqual(await run(reportStatus, bed), { outcome: "reported", to: "IN_FLIGHT" });
    assert.equal(updates.length, 2);
    assert.equal(await bed.store.field("relations/1", "trouble"), null);
  });

  it("resolves itself once the food service shows the status", async () => {
    const { bed } = await bedWith(() => {});
    for (let tries = 0; tries < 4; tries++) {
      bed.clock.advance(HOUR_MS);
      await run(reportAgain, bed);
    }
    await sweep(bed.ports);
    assert.deepEqual(await attemptCode(bed, "attempts/kitchen:1"), ["PARKED", "REPORT_IGNORED"]);
    bed.food.orders.set("orders/1", { name: "orders/1", customerId: "krithik", status: "PREPARATION" });
    await sweep(bed.ports);
    assert.equal(await bed.store.field("attempts/kitchen:1", "state"), "CLOSED");
  });
});

describe("a report that the food service rejects", () => {
  it("needs no operator before the third try", async () => {
    const { bed } = await bedWith(() => {
      throw callError("FAILED_PRECONDITION", "no", true);
    });
    const states: unknown[] = [];
    for (let tries = 1; tries <= 3; tries++) {
      bed.clock.advance(HOUR_MS);
      await run(reportAgain, bed);
      states.push(await bed.store.field("attempts/kitchen:1", "state"));
    }
    assert.deepEqual(states, [undefined, undefined, "PARKED"]);
  });

  for (const code of ["FAILED_PRECONDITION", "PERMISSION_DENIED", "NOT_FOUND", "INTERNAL", "UNKNOWN", "ABORTED"]) {
    it(`is retried with growing backoff (${code}), and needs an operator after the third try`, async () => {
      const { bed, updates } = await bedWith(() => {
        throw callError(code, "no", true);
      });
      const calls = await reportForADay(bed);
      assert.ok(updates.length >= 20 && updates.length <= 32, `${updates.length} updates in a day`);
      assert.equal(calls, updates.length, "no other call in between");
      const attempt = (await bed.store.fields("attempts/kitchen:1")) ?? {};
      assert.deepEqual([attempt.state, (attempt.reason as Fields | undefined)?.code], ["PARKED", "REPORT_REJECTED"]);
    });
  }

  it("is reported immediately when an operator retries, and no longer needs an operator once it succeeds", async () => {
    let isRejected = true;
    const { bed, updates } = await bedWith(() => {
      if (isRejected) throw callError("FAILED_PRECONDITION", "no", true);
      bed.food.orders.set("orders/1", { name: "orders/1", customerId: "krithik", status: "PREPARATION" });
    });
    for (let tries = 0; tries < 3; tries++) {
      await run(reportAgain, bed);
      bed.clock.advance(HOUR_MS);
    }
    await run(reportAgain, bed);
    const before = updates.length;
    isRejected = false;
    await resolveAttempt({ order: "orders/1", stage: "kitchen", by: "ana", reason: "it is mended" }, bed.ports);
    await run(reportAgain, bed);
    assert.equal(updates.length, before + 1);
    assert.equal(await bed.store.fields("attempts/kitchen:1"), undefined);
  });

  it("resolves itself when the food service accepts it after all", async () => {
    let isRejected = true;
    const { bed } = await bedWith(() => {
      if (isRejected) throw callError("FAILED_PRECONDITION", "no", true);
      bed.food.orders.set("orders/1", { name: "orders/1", customerId: "krithik", status: "PREPARATION" });
    });
    for (let tries = 0; tries < 4; tries++) {
      await run(reportAgain, bed);
      bed.clock.advance(HOUR_MS);
    }
    isRejected = false;
    await run(reportAgain, bed);
    await sweep(bed.ports);
    assert.equal(await bed.store.field("attempts/kitchen:1", "state"), "CLOSED");
  });

  it("is thrown, and not counted, if the service was only unavailable", async () => {
    const { bed } = await bedWith(() => {
      throw callError("UNAVAILABLE", "away", true);
    });
    await assert.rejects(run(reportStatus, bed), { code: "UNAVAILABLE" });
    assert.equal(await bed.store.field("relations/1", "trouble"), undefined);
  });
});

describe("the outcome of a report", () => {
  const MINUTE_MS = 60_000;
  const reject = () => {
    throw callError("FAILED_PRECONDITION", "not now", true);
  };
  const reportOf = async (bed: TestBed) =>
    ((await bed.store.field("relations/1", "trouble")) as Fields | null | undefined)?.report as Fields | undefined;
  const show = (bed: TestBed, status: OrderStatus, placedAt?: Date) =>
    bed.food.orders.set("orders/1", { name: "orders/1", customerId: "ada", status, ...(placedAt && { placedAt }) });

  it("is skipped for a relation whose state is the food service's own news, without a call", async () => {
    const { bed } = await bedWith(() => {});
    bed.food.getOrder = () => assert.fail("no call is due");
    for (const state of ["CANCELLED", "GONE"]) {
      await bed.store.set("relations/1", { state });
      const outcome = await run(reportStatus, bed);
      assert.deepEqual(outcome, { outcome: "skipped", reason: `a relation that is ${state} is not reported` });
    }
  });

  it("is skipped, without an update, if the order is as far already or has ended", async () => {
    const { bed, updates } = await bedWith(() => {});
    for (const status of ["PREPARATION", "IN_FLIGHT", "DELIVERED", "CANCELLED", "UNKNOWN"] as const) {
      show(bed, status);
      const outcome = await run(reportStatus, bed);
      assert.deepEqual(outcome, { outcome: "skipped", reason: `the order is ${status} already` });
    }
    assert.deepEqual(updates, []);
  });

  it("is blocked when it is rejected, and the wait doubles from a minute up to an hour", async () => {
    const { bed } = await bedWith(reject);
    for (const [index, minutes] of [1, 2, 4, 8, 16, 32, 60, 60].entries()) {
      const outcome = await run(reportStatus, bed);
      if (index !== 2) assert.equal(outcome.outcome, index < 2 ? "blocked" : "skipped");
      const { tries, nextTryAt, state, code } = (await reportOf(bed)) ?? {};
      assert.deepEqual({ tries, state, code }, { tries: index + 1, state: "PREPARATION", code: "REPORT_REJECTED" });
      assert.deepEqual(nextTryAt, new Date(bed.clock.now() + minutes * MINUTE_MS));
      bed.clock.advance(minutes * MINUTE_MS - 1);
      const early = await run(reportStatus, bed);
      assert.deepEqual(early, { outcome: "skipped", reason: "backing off after a failed report" });
      bed.clock.advance(1);
    }
    const attempt = (await bed.store.fields("attempts/kitchen:1")) ?? {};
    const message = "the food service rejects the status PREPARATION: FAILED_PRECONDITION not now";
    assert.deepEqual(attempt.reason, { code: "REPORT_REJECTED", message });
  });

  it("is skipped when it is ignored, once the relation is a minute old", async () => {
    const { bed } = await bedWith(() => {});
    bed.clock.advance(MINUTE_MS - 1);
    assert.deepEqual(await run(reportStatus, bed), { outcome: "reported", to: "PREPARATION" });
    assert.equal(await reportOf(bed), undefined);
    bed.clock.advance(1);
    const reason = "the food service acknowledges the status PREPARATION, but showed the order as NEW before";
    assert.deepEqual(await run(reportStatus, bed), { outcome: "skipped", reason });
    const { tries, code } = (await reportOf(bed)) ?? {};
    assert.deepEqual({ tries, code }, { tries: 1, code: "REPORT_IGNORED" });
  });

  it("is no sign that updates are ignored if the one before was rejected", async () => {
    let isRejected = true;
    const { bed } = await bedWith(() => {
      if (isRejected) reject();
    });
    bed.clock.advance(HOUR_MS);
    await run(reportStatus, bed);
    isRejected = false;
    bed.clock.advance(HOUR_MS);
    assert.deepEqual(await run(reportStatus, bed), { outcome: "reported", to: "PREPARATION" });
    assert.equal(await bed.store.field("relations/1", "trouble"), null);
  });

  it("is recorded beside other trouble, and ends alone", async () => {
    let isRejected = true;
    const { bed } = await bedWith(() => {
      if (isRejected) reject();
    });
    const missing = { since: new Date(0), last: new Date(0), looks: 1 };
    await bed.store.set("relations/1", { trouble: { missing } });
    await run(reportStatus, bed);
    assert.deepEqual(Object.keys((await bed.store.field("relations/1", "trouble")) as Fields).sort(), [
      "missing",
      "report",
    ]);
    isRejected = false;
    bed.clock.advance(HOUR_MS);
    await run(reportStatus, bed);
    assert.deepEqual(await bed.store.field("relations/1", "trouble"), { missing });
  });

  it("counts only failures of the current state", async () => {
    const { bed } = await bedWith(reject);
    const report = {
      tries: 7,
      nextTryAt: new Date(bed.clock.now() + HOUR_MS),
      state: "IN_FLIGHT",
      code: "REPORT_REJECTED",
    };
    await bed.store.set("relations/1", { trouble: { report } });
    await run(reportStatus, bed);
    const { tries, state } = (await reportOf(bed)) ?? {};
    assert.deepEqual({ tries, state }, { tries: 1, state: "PREPARATION" });
  });

  it("counts failures that an older build recorded without a state", async () => {
    const { bed } = await bedWith(reject);
    const report = { tries: 1, nextTryAt: new Date(bed.clock.now()) };
    await bed.store.set("relations/1", { trouble: { report } });
    await run(reportStatus, bed);
    assert.equal((await reportOf(bed))?.tries, 2);
  });

  for (const code of ["UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED"]) {
    it(`is an error that the next delivery repeats if the update ends with ${code}`, async () => {
      const { bed } = await bedWith(() => {
        throw callError(code, "away", true);
      });
      await assert.rejects(run(reportStatus, bed), { code });
      assert.equal(await reportOf(bed), undefined);
    });
  }

  it("has a message of 500 characters at most", async () => {
    const { bed } = await bedWith(() => {
      throw callError("INTERNAL", "x".repeat(2_000), true);
    });
    const outcome = await run(reportStatus, bed);
    assert.equal("reason" in outcome && outcome.reason.length, 500);
  });

  it("is that of the new order when the order's name was used again", async () => {
    const { bed, updates } = await bedWith(() => {});
    await bed.store.set("relations/1", { placedAt: new Date(0) });
    show(bed, "NEW", new Date(10_000));
    assert.equal((await run(reportStatus, bed)).outcome, "blocked");
    assert.deepEqual(updates, []);
    assert.equal(((await bed.store.field("attempts/kitchen:1", "reason")) as Fields).code, "ORDER_REPLACED");
  });
});

describe("writing what is wrong with an order", () => {
  const TROUBLE = { activeAgain: new Date(5) };

  async function bedWithRelation() {
    const bed = testBed();
    await bed.store.set("relations/1", { schema: 1, state: "CANCELLED", kitchen: "k/1" });
    const [snapshot] = await bed.store.read("relations/1");
    assert.ok(snapshot);
    return { bed, snapshot };
  }

  it("returns the relation's current document, which can be written again", async () => {
    const { bed, snapshot } = await bedWithRelation();
    const written = await writeTrouble(snapshot, TROUBLE, bed.ports);
    assert.deepEqual([written], await bed.store.read("relations/1"));
    await writeTrouble(written, {}, bed.ports);
    assert.equal(await bed.store.field("relations/1", "trouble"), null);
  });

  it("leaves a relation that was changed concurrently, and fails if the store does", async () => {
    const { bed, snapshot } = await bedWithRelation();
    await bed.store.set("relations/1", { note: "x" });
    assert.equal(await writeTrouble(snapshot, TROUBLE, bed.ports), snapshot);
    assert.equal(await bed.store.field("relations/1", "trouble"), undefined);
    bed.store.hooks.once("commit", "before", () => {
      throw new StoreError("down");
    });
    await assert.rejects(writeTrouble(snapshot, TROUBLE, bed.ports), StoreError);
  });
});
