import assert from "node:assert/strict";
import fc from "fast-check";
import { callError, ValidationError } from "../domain/errors.js";
import { ORDER_STATUSES, type OrderStatus, RELATION_STATES, type RelationState } from "../domain/order-lifecycle.js";
import { withOutcomeLog } from "../pipeline/run-stage.js";
import type { Fields, Snapshot } from "../ports.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { onRelationWritten } from "./on-relation-written.js";

const ID = "7f3c";
const ORDER = `orders/${ID}`;
const RELATION = `relations/${ID}`;
const AT = new Date("2026-01-01T00:00:00.000Z");

const STATES = Object.keys(RELATION_STATES) as RelationState[];
const ORDERS = Object.keys(ORDER_STATUSES) as OrderStatus[];

function snapshot(fields: Fields): Snapshot {
  return { path: RELATION, fields, version: "1" };
}

/** The document of a relation in this state, as this build writes it. */
function written(state: RelationState): Snapshot {
  const links = state === "PREPARATION" ? { kitchen: "k/1" } : { kitchen: "k/1", shipment: "s/1" };
  return snapshot({ schema: 1, ...links, state, times: { [state]: AT }, customerId: "krithik" });
}

function bedWith(status: OrderStatus): TestBed {
  const bed = testBed();
  bed.food.orders.set(ORDER, { name: ORDER, customerId: "krithik", status });
  return bed;
}

const statusOf = (bed: TestBed) => bed.food.orders.get(ORDER)?.status;
const historyIn = (bed: TestBed) => bed.store.memory.all("history").map(({ fields }) => fields);

/** A bed with a relation as some program has written it. */
async function bedOf(status: OrderStatus, fields: Fields): Promise<TestBed> {
  const bed = bedWith(status);
  await bed.store.set(RELATION, fields);
  return bed;
}

/** Brings the event of every write of the relation, those that come of the events too. */
async function settle(bed: TestBed): Promise<void> {
  for (let change = bed.store.changes.shift(); change; change = bed.store.changes.shift()) {
    if (change.after?.path === RELATION) await onRelationWritten(change, bed.ports);
  }
}

describe("a relation that reached a new state", () => {
  for (const status of ORDERS) {
    for (const state of STATES) {
      it(`${state} is reported to an order that is ${status} only if that is forward`, async () => {
        const bed = bedWith(status);
        await onRelationWritten({ before: undefined, after: written(state) }, bed.ports);
        const rank = { NEW: 0, PREPARATION: 1, IN_FLIGHT: 2, DELIVERED: 3, REJECTED: 3 };
        const forwards =
          status in rank && state in rank && !["DELIVERED", "REJECTED"].includes(status)
            ? rank[status as keyof typeof rank] < rank[state as keyof typeof rank]
            : false;
        assert.equal(statusOf(bed), forwards ? state : status);
        assert.equal(bed.food.updates.length, forwards ? 1 : 0);
      });
    }
  }

  it("is never reported as CANCELLED or UNKNOWN, nor to an order that has ended, for any events in any order", async () => {
    const event = fc.record({
      before: fc.option(fc.constantFrom(...STATES), { nil: undefined }),
      after: fc.option(fc.constantFrom(...STATES), { nil: undefined }),
    });
    const start = fc.constantFrom(...ORDERS);
    await fc.assert(
      fc.asyncProperty(start, fc.array(event, { maxLength: 10 }), async (status, events) => {
        const bed = bedWith(status);
        const seen: OrderStatus[] = [status];
        for (const { before, after } of events) {
          const change = { before: before && written(before), after: after && written(after) };
          await onRelationWritten(change, bed.ports);
          seen.push(statusOf(bed) ?? "UNKNOWN");
        }
        const moves = seen.filter((now, index) => index > 0 && now !== seen[index - 1]);
        for (const [index, now] of moves.entries()) {
          assert.ok(now !== "CANCELLED" && now !== "UNKNOWN" && now !== "NEW");
          const from = ORDER_STATUSES[index === 0 ? status : (moves[index - 1] ?? status)];
          assert.ok(!from.ended && (from.rank ?? 9) < (ORDER_STATUSES[now].rank ?? 0));
        }
        assert.deepEqual(bed.store.writes, []);
      }),
    );
  });

  it("is reported and recorded in the history when an older scheduler adds a link", async () => {
    const bed = await bedOf("NEW", { kitchen: "kitchens/9" });
    await settle(bed);
    assert.equal(statusOf(bed), "PREPARATION");
    const [{ hour: _hour, ...entry } = {}, ...others] = historyIn(bed);
    assert.deepEqual(entry, {
      schema: 1,
      order: ORDER,
      state: "PREPARATION",
      kitchen: "kitchens/9",
      at: new Date(bed.clock.now()),
    });
    assert.deepEqual(others, []);
    assert.equal(await bed.store.field(RELATION, "state"), "PREPARATION");
  });

  it("is adopted, with its state as the outcome, when an older scheduler adds a link", async () => {
    const bed = await bedOf("NEW", { kitchen: "kitchens/9" });
    const [after] = await bed.store.memory.read(RELATION);
    const outcome = await onRelationWritten({ before: undefined, after }, bed.ports);
    assert.deepEqual(outcome, { outcome: "advanced", to: "PREPARATION" });
  });

  it("does not adopt a link that another order has, and names that order", async () => {
    const bed = await bedOf("NEW", { kitchen: "kitchens/9" });
    await settle(bed);
    await bed.store.set("relations/other", { kitchen: "kitchens/9" });
    const [after] = await bed.store.memory.read("relations/other");
    const change = { before: undefined, after };
    await assert.rejects(onRelationWritten(change, bed.ports), /kitchens\/9.*orders\/7f3c/);
    assert.equal(await bed.store.field("relations/other", "state"), undefined);
  });

  it("is reported when an older scheduler adds only the shipment", async () => {
    const bed = await bedOf("PREPARATION", { ...written("PREPARATION").fields, shipment: "s/1" });
    await settle(bed);
    assert.equal(statusOf(bed), "IN_FLIGHT");
    const states = historyIn(bed).map(({ state }) => state);
    assert.deepEqual(states.sort(), ["IN_FLIGHT", "PREPARATION"]);
  });

  it("is left to the event of a later write if the relation has changed since", async () => {
    const bed = await bedOf("NEW", { kitchen: "kitchens/9" });
    const [after] = await bed.store.memory.read(RELATION);
    await bed.store.set(RELATION, { note: "extra cutlery" });
    assert.equal((await onRelationWritten({ before: undefined, after }, bed.ports)).outcome, "skipped");
    await settle(bed);
    assert.equal(statusOf(bed), "PREPARATION");
  });

  it("is adopted once if its event is delivered twice concurrently", async () => {
    const bed = await bedOf("NEW", { kitchen: "kitchens/9" });
    const [after] = await bed.store.memory.read(RELATION);
    const change = { before: undefined, after };
    await Promise.all([onRelationWritten(change, bed.ports), onRelationWritten(change, bed.ports)]);
    assert.equal(historyIn(bed).length, 1);
  });

  it("is reported once when the event is delivered twice", async () => {
    const bed = bedWith("NEW");
    const change = { before: undefined, after: written("PREPARATION") };
    assert.equal((await onRelationWritten(change, bed.ports)).outcome, "reported");
    bed.clock.advance(60_000);
    assert.equal((await onRelationWritten(change, bed.ports)).outcome, "skipped");
    assert.equal(bed.food.updates.length, 1);
  });

  it("is not undone by an older event that arrives later", async () => {
    const bed = bedWith("NEW");
    await onRelationWritten({ before: written("PREPARATION"), after: written("IN_FLIGHT") }, bed.ports);
    await onRelationWritten({ before: undefined, after: written("PREPARATION") }, bed.ports);
    assert.equal(statusOf(bed), "IN_FLIGHT");
  });

  it("is reported by the next delivery if the service was unavailable", async () => {
    const bed = bedWith("NEW");
    const change = { before: undefined, after: written("PREPARATION") };
    const down = callError("UNAVAILABLE", "down", false);
    bed.food.hooks.once("updateOrder", "before", () => {
      throw down;
    });
    await assert.rejects(onRelationWritten(change, bed.ports), down);
    assert.equal((await onRelationWritten(change, bed.ports)).outcome, "reported");
  });
});

describe("a change of a relation without a new state", () => {
  it("is not reported if the state is unchanged", async () => {
    for (const state of STATES) {
      const bed = bedWith("NEW");
      const after = { ...written(state), fields: { ...written(state).fields, note: "extra cutlery" } };
      assert.equal((await onRelationWritten({ before: written(state), after }, bed.ports)).outcome, "skipped");
      assert.deepEqual([bed.food.updates, bed.store.writes], [[], []]);
    }
  });

  for (const [what, after] of [
    ["was deleted", undefined],
    ["is empty", snapshot({})],
    ["has only fields of other programs", snapshot({ note: "x" })],
  ] as const) {
    it(`is ignored if the document ${what}`, async () => {
      const bed = bedWith("NEW");
      const result = await onRelationWritten({ before: written("PREPARATION"), after }, bed.ports);
      assert.equal(result.outcome, "skipped");
      assert.deepEqual([bed.food.updates, bed.store.writes], [[], []]);
    });
  }

  it("is ignored if the event has no document", async () => {
    const bed = bedWith("NEW");
    assert.equal((await onRelationWritten({ before: undefined, after: undefined }, bed.ports)).outcome, "skipped");
  });
});

describe("a relation that can't be read", () => {
  const unreadable: [what: string, fields: Fields][] = [
    ["of a newer schema", { schema: 2, kitchen: "k/1", state: "BAKED" }],
    ["of wrong types", { kitchen: 7 }],
    ["in a foreign state", { kitchen: "k/1", state: "BAKING" }],
  ];
  for (const [what, fields] of unreadable) {
    it(`${what} after the write is quarantined: nothing is reported or written`, async () => {
      const bed = bedWith("NEW");
      const change = { before: written("PREPARATION"), after: snapshot(fields) };
      await assert.rejects(onRelationWritten(change, bed.ports), ValidationError);
      assert.deepEqual([bed.food.updates, bed.store.writes], [[], []]);
    });

    it(`${what} before the write counts as absent`, async () => {
      const bed = bedWith("NEW");
      await onRelationWritten({ before: snapshot(fields), after: written("PREPARATION") }, bed.ports);
      assert.equal(statusOf(bed), "PREPARATION");
    });
  }
});

describe("an order that the food service does not know", () => {
  it("is dropped with one log line, and not redelivered forever", async () => {
    const bed = testBed();
    const change = { before: undefined, after: written("PREPARATION") };
    await withOutcomeLog({ component: "report", order: ORDER }, bed.ports, () => onRelationWritten(change, bed.ports));
    assert.deepEqual(
      bed.lines.map(({ level, fields }) => [level, fields.outcome]),
      [["error", "dropped"]],
    );
  });
});
