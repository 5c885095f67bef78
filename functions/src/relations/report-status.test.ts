import assert from "node:assert/strict";
import { resolveAttempt } from "../attempts/resolve-attempt.js";
import { callError } from "../domain/errors.js";
import type { Fields } from "../ports.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { relationIn } from "./relation.js";
import { reportAgain, reportStatus } from "./report-status.js";
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
