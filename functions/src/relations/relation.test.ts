import assert from "node:assert/strict";
import fc from "fast-check";
import { ValidationError } from "../domain/errors.js";
import { RELATION_STATES, type RelationState } from "../domain/order-lifecycle.js";
import type { Fields } from "../ports.js";
import {
  discardedField,
  isSameOrder,
  parseRelation,
  relationIn,
  relationPath,
  stateFields,
  stateOfLinks,
  troubleField,
} from "./relation.js";

const PATH = relationPath("7f3c");
const AT = new Date("2026-01-01T00:00:00.000Z");
const STATES = Object.keys(RELATION_STATES) as RelationState[];

describe("a relation document", () => {
  it("stands for PREPARATION if an older scheduler wrote only a kitchen order", () => {
    const relation = parseRelation(PATH, { kitchen: "kitchens/9" });
    assert.deepEqual(relation, {
      order: "orders/7f3c",
      kitchen: "kitchens/9",
      shipment: undefined,
      state: "PREPARATION",
      customerId: undefined,
      placedAt: undefined,
      customer: undefined,
      times: {},
      discarded: {},
      trouble: {},
    });
  });

  it("stands for IN_FLIGHT if an older scheduler wrote kitchen order and shipment", () => {
    const relation = parseRelation(PATH, { kitchen: "kitchenorders/9", shipment: "shipments/4" });
    assert.deepEqual(
      [relation.state, relation.kitchen, relation.shipment],
      ["IN_FLIGHT", "kitchenorders/9", "shipments/4"],
    );
  });

  it("is parsed with the fields of other programs, which stay unchanged", () => {
    assert.equal(parseRelation(PATH, { kitchen: "kitchens/9", colour: "blue", __proto__x: 1 }).state, "PREPARATION");
  });

  it("stands for no state if it is empty", () => {
    assert.equal(parseRelation(PATH, {}).state, undefined);
    assert.equal(relationIn(undefined), undefined);
  });

  it("stands for IN_FLIGHT once an older scheduler added a shipment, whatever state was stored", () => {
    const fields = { kitchen: "k/1", shipment: "s/1", state: "PREPARATION", schema: 1 };
    assert.equal(parseRelation(PATH, fields).state, "IN_FLIGHT");
  });

  it("stays closed whatever its links are", () => {
    for (const state of ["DELIVERED", "REJECTED", "CANCELLED", "GONE"]) {
      assert.equal(parseRelation(PATH, { state }).state, state);
      assert.equal(parseRelation(PATH, { state, kitchen: "k/1" }).state, state);
      assert.equal(parseRelation(PATH, { state, kitchen: "k/1", shipment: "s/1" }).state, state);
    }
  });

  const refused: [why: string, fields: Fields, field: string][] = [
    ["kitchen is a number", { kitchen: 7 }, "kitchen"],
    ["kitchen is null", { kitchen: null }, "kitchen"],
    ["kitchen is empty", { kitchen: "" }, "kitchen"],
    ["kitchen is a list", { kitchen: ["kitchens/9"] }, "kitchen"],
    ["kitchen is oversized", { kitchen: "k".repeat(1401) }, "kitchen: must be a resource name"],
    ["kitchen has a control character", { kitchen: "kitchens/\n" }, "kitchen"],
    ["shipment is a map", { kitchen: "k/1", shipment: { name: "s/1" } }, "shipment"],
    ["the state is foreign", { kitchen: "k/1", state: "BAKING" }, "state"],
    ["the state is in other letters", { kitchen: "k/1", state: "preparation" }, "state"],
    ["the state is inherited by every object", { kitchen: "k/1", state: "constructor" }, "state"],
    ["the state is a number", { kitchen: "k/1", state: 1 }, "state"],
    ["the schema is newer", { kitchen: "k/1", schema: 2 }, "schema"],
    ["the schema is none", { kitchen: "k/1", schema: 0 }, "schema"],
    ["the schema is text", { kitchen: "k/1", schema: "1" }, "schema"],
    ["the times are an empty list", { kitchen: "k/1", times: [] }, "times"],
    ["the times are one time", { kitchen: "k/1", times: AT }, "times"],
    ["a time is text", { kitchen: "k/1", times: { PREPARATION: "2026-01-01" } }, "times"],
    ["a time is of a foreign state", { kitchen: "k/1", times: { BAKING: AT } }, "times"],
    ["the times are a list", { kitchen: "k/1", times: [AT] }, "times"],
    ["the customer is a number", { kitchen: "k/1", customerId: 7 }, "customerId"],
    ["it is in PREPARATION without a kitchen order", { state: "PREPARATION" }, "kitchen order"],
    ["it is IN_FLIGHT without a shipment", { state: "IN_FLIGHT", kitchen: "k/1" }, "shipment"],
  ];
  for (const [why, fields, field] of refused) {
    it(`is refused if ${why}`, () => {
      assert.throws(
        () => parseRelation(PATH, fields),
        (error: unknown) => {
          assert.ok(error instanceof ValidationError);
          assert.ok(error.message.includes(PATH), error.message);
          assert.ok(error.message.includes(field), error.message);
          return true;
        },
      );
    });
  }

  it("is parsed or rejected with a ValidationError, whatever it contains", () => {
    const names = fc.constantFrom("kitchen", "shipment", "state", "schema", "times", "customerId", "__proto__");
    const values = fc.oneof(fc.anything(), fc.constantFrom(...STATES, 1, AT), fc.string());
    fc.assert(
      fc.property(fc.array(fc.tuple(names, values)), (entries) => {
        try {
          const relation = parseRelation(PATH, Object.fromEntries(entries) as Fields);
          assert.ok(relation.state === undefined || STATES.includes(relation.state));
          assert.equal(relation.order, "orders/7f3c");
          assert.equal(({} as { state?: unknown }).state, undefined);
        } catch (error) {
          assert.ok(error instanceof ValidationError, String(error));
        }
      }),
      { numRuns: 500 },
    );
  });

  it("keeps the time of every state that it reached", () => {
    const first = stateFields(undefined, "PREPARATION", 1_000);
    const relation = parseRelation(PATH, { ...first, kitchen: "k/1" });
    const second = stateFields(relation, "IN_FLIGHT", 2_000);
    assert.deepEqual(second, {
      schema: 1,
      state: "IN_FLIGHT",
      times: { PREPARATION: new Date(1_000), IN_FLIGHT: new Date(2_000) },
    });
  });

  it("can be read as we write it, in every state", () => {
    for (const state of STATES) {
      const written = { ...stateFields(undefined, state, 5), kitchen: "k/1", shipment: "s/1", customerId: "" };
      const open = RELATION_STATES[state].open;
      assert.equal(parseRelation(PATH, written).state, open ? "IN_FLIGHT" : state);
    }
  });
});

describe("an order and a relation", () => {
  const later = (milliseconds: number) => new Date(AT.getTime() + milliseconds);

  for (const [what, placedAt, isSame] of [
    ["at the same time", AT, true],
    ["less than a second later", later(999), true],
    ["less than a second earlier", later(-999), true],
    ["a second later", later(1_000), false],
    ["a second earlier", later(-1_000), false],
    ["at a time that the food service does not say", undefined, true],
    ["at a time that can't be stored", new Date("0000-01-01T00:00:00Z"), true],
    ["at a time that is none", new Date(Number.NaN), true],
  ] as const) {
    it(`are ${isSame ? "of the same order" : "of two orders"} if the order was placed ${what}`, () => {
      assert.equal(isSameOrder({ placedAt: AT }, { placedAt }), isSame);
    });
  }

  it("are of the same order if the relation does not say when it was placed", () => {
    assert.equal(isSameOrder({ placedAt: undefined }, { placedAt: AT }), true);
  });
});

describe("what is wrong with a relation", () => {
  const looks = { since: AT, last: AT, looks: 1 };
  const parsed = (fields: Fields) => parseRelation(PATH, { kitchen: "k/1", ...fields });

  it("is written as it is, and as null if nothing is", () => {
    assert.deepEqual(troubleField({ missing: looks, report: undefined }), { trouble: { missing: looks } });
    assert.deepEqual(troubleField({ missing: undefined }), { trouble: null });
    assert.deepEqual(troubleField({}), { trouble: null });
  });

  it("is read as it was written", () => {
    const report = { tries: 2, nextTryAt: AT, state: "PREPARATION", code: "REPORT_IGNORED" };
    const trouble = { missing: looks, missingLink: { ...looks, name: "k/1" }, report, activeAgain: AT };
    assert.deepEqual(parsed({ trouble }).trouble, trouble);
    assert.deepEqual([parsed({ trouble: null }).trouble, parsed({}).trouble], [{}, {}]);
  });

  it("is a rejected report if an older build did not say so", () => {
    assert.equal(parsed({ trouble: { report: { tries: 1, nextTryAt: AT } } }).trouble.report?.code, "REPORT_REJECTED");
  });

  for (const [what, trouble] of [
    ["looks that are no whole number", { missing: { ...looks, looks: 1.5 } }],
    ["looks without a time", { missing: { looks: 1 } }],
    ["a lost link without its name", { missingLink: looks }],
    ["a lost link without its looks", { missingLink: { name: "k/1" } }],
    ["a lost link whose name can't be stored", { missingLink: { ...looks, name: "" } }],
    ["a report that failed in a way of its own", { report: { tries: 1, nextTryAt: AT, code: "EATEN" } }],
  ] as const) {
    it(`is refused with ${what}`, () => assert.throws(() => parsed({ trouble } as Fields), ValidationError));
  }
});

describe("discarded links", () => {
  it("no longer count, until another one is linked", () => {
    const links = { kitchen: "k/1", shipment: "s/1", state: "PREPARATION" };
    const lost = parseRelation(PATH, { ...links, discarded: { shipment: "s/1" } });
    assert.deepEqual([lost.kitchen, lost.shipment, lost.state], ["k/1", undefined, "PREPARATION"]);
    const replaced = parseRelation(PATH, { ...links, shipment: "s/2", discarded: { shipment: "s/1" } });
    assert.deepEqual([replaced.shipment, replaced.state], ["s/2", "IN_FLIGHT"]);
    assert.deepEqual(parseRelation(PATH, { ...links, discarded: null }).discarded, {});
  });

  it("are written one by one, and as null if there are none", () => {
    assert.deepEqual(discardedField({ kitchen: "k/1" }, "shipment", "s/1"), {
      discarded: { kitchen: "k/1", shipment: "s/1" },
    });
    assert.deepEqual(discardedField({ kitchen: "k/1", shipment: "s/1" }, "shipment", undefined), {
      discarded: { kitchen: "k/1" },
    });
    assert.deepEqual(discardedField({ kitchen: "k/1" }, "kitchen", undefined), { discarded: null });
    assert.deepEqual(discardedField({}, "kitchen", undefined), { discarded: null });
  });
});

describe("the state of a relation", () => {
  it("is that of its last link", () => {
    assert.equal(stateOfLinks({ kitchen: "k", shipment: "s" }), "IN_FLIGHT");
    assert.equal(stateOfLinks({ kitchen: undefined, shipment: "s" }), "IN_FLIGHT");
    assert.equal(stateOfLinks({ kitchen: "k", shipment: undefined }), "PREPARATION");
    assert.equal(stateOfLinks({ kitchen: undefined, shipment: undefined }), undefined);
  });

  it("may be PREPARATION with only a later link, which is all that an operator found, but not without any", () => {
    assert.equal(parseRelation(PATH, { state: "PREPARATION", shipment: "s/1" }).state, "IN_FLIGHT");
    for (const fields of [{ state: "PREPARATION" }, { state: "IN_FLIGHT", kitchen: "k/1" }, { state: "IN_FLIGHT" }]) {
      assert.throws(() => parseRelation(PATH, fields), /relations\/7f3c is (PREPARATION|IN_FLIGHT) but has no/);
    }
  });

  it("is refused with times that are no map of times", () => {
    for (const times of [[AT], AT, null, "now", { EATEN: AT }, { PREPARATION: "now" }]) {
      assert.throws(() => parseRelation(PATH, { kitchen: "k/1", times } as Fields), ValidationError);
    }
    assert.throws(() => parseRelation(PATH, { kitchen: "k/1", times: [AT] } as Fields), /times.*must be a map/);
  });

  it("is undefined if there is no document", () => assert.equal(relationIn(undefined), undefined));
});
