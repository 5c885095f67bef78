/** Holds what an order costs against the budget, and docs/scaling.md against what was counted. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { idleReads, tables } from "./bill.js";
import { type Costs, type Counts, measure, total, WAITING_ORDERS } from "./count.js";
import { MOVES, runDay } from "./lunch-peak.js";

describe("what the platform bills", () => {
  let costs: Costs;
  before(async () => {
    costs = await measure();
  });

  it("is at most 7 writes for an order, including its customer, and 1 for each history entry", () => {
    const { "write relations": relations = 0, "write attempts": attempts = 0, "write history": history } = costs.order;
    assert.equal(total(costs.order, "delete"), 2, "the attempt of each creating stage, which is over");
    assert.equal(costs.order["invocation onRelationCreated"], 1, "one look-up of the customer, which keeps its answer");
    assert.ok(relations + attempts <= 7, `${relations + attempts} writes`);
    assert.equal(history, 3, "one entry for each state: PREPARATION, IN_FLIGHT, DELIVERED");
    assert.equal(total(costs.order, "write"), relations + attempts + (history ?? 0), "nothing else is written");
  });

  it("is one call and no read for each waiting order, and one read at an instance's first tick", () => {
    const countsOf = (tick: Counts) => ["write", "read", "call"].map((kind) => total(tick, kind));
    assert.deepEqual(countsOf(costs.idle), [0, 0, WAITING_ORDERS]);
    assert.deepEqual(countsOf(costs.firstIdle), [0, WAITING_ORDERS, WAITING_ORDERS]);
  });

  it("is one message and one invocation for the waiting orders that share a message", () => {
    assert.deepEqual([total(costs.idle, "message"), total(costs.idle, "invocation")], [1, 1]);
  });

  it("includes fewer reads if fewer instances share a stage's ticks", () => {
    assert.equal(idleReads(14, 1, 30), 1);
    assert.equal(idleReads(31, 1, 30), 2, "an entry is believed for so many ticks");
    assert.ok(Math.abs(idleReads(14, 2, 30) - 2) < 0.001, "once on each of two");
    assert.ok(Math.abs(idleReads(14, 1e6, 30) - 14) < 0.001, "each tick meets another instance");
  });

  it("has the same cost per order in the lunch peak's simulation as in the count of one order", () => {
    const sum = (what: "writes" | "calls") => Object.values(MOVES).reduce((all, move) => all + move[what], 0);
    assert.equal(sum("writes"), total(costs.order, "write") + total(costs.order, "delete"));
    assert.equal(sum("calls"), total(costs.order, "call") - (costs.order["call userByName"] ?? 0));
  });

  it("includes every order of a day with a lunch peak, all of which complete", () => {
    const day = runDay(20);
    const orders = day.reduce((all, { ordersPerSecond, seconds }) => all + ordersPerSecond * seconds, 0);
    assert.ok(Math.abs(orders / 100_000_000 - 1) < 0.01, `${orders} orders`);
    const [first, last] = [day[0]?.active ?? 0, day.at(-1)?.active ?? 0];
    assert.ok(Math.abs(last / first - 1) < 0.01, `${first} active orders at first, ${last} at last`);
  });

  it("matches docs/scaling.md (npm run costs prints it)", async () => {
    const page = readFileSync("docs/scaling.md", "utf8");
    for (const [name, table] of Object.entries(await tables())) {
      const there = page.split(`<!-- ${name} -->`)[1]?.split(`<!-- /${name} -->`)[0];
      assert.equal(there?.trim(), table, name);
    }
  });
});
