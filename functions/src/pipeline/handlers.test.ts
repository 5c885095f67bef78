import assert from "node:assert/strict";
import { ConflictError, NoSlotError, StoreError } from "../domain/errors.js";
import { testBed } from "../testing/test-bed.js";
import { handleStageMessage, reactionsTo, runReaction, SCHEDULED } from "./handlers.js";

const PATH = "relations/1";

async function prepared() {
  const bed = testBed();
  bed.food.orders.set("orders/1", { name: "orders/1", customerId: "ada", status: "NEW" });
  await bed.store.set(PATH, { schema: 1, state: "PREPARATION", kitchen: "kitchenorders/1" });
  const [after] = await bed.store.memory.read(PATH);
  assert.ok(after);
  return { bed, after };
}

describe("the reactions to relations", () => {
  it("are the report for every write, and the customer for a new relation too", async () => {
    const { after } = await prepared();
    assert.deepEqual(reactionsTo({ before: undefined, after }), ["report", "customer"]);
    assert.deepEqual(reactionsTo({ before: after, after }), ["report"]);
    assert.deepEqual(reactionsTo({ before: after, after: undefined }), ["report"]);
  });

  for (const [what, at, lag] of [
    ["how long ago the write was", -1_500, 1_500],
    ["no lag if the clocks differ", 700, 0],
  ] as const) {
    it(`log their component, the order, the outcome and ${what}`, async () => {
      const { bed, after } = await prepared();
      await runReaction("report", "1", { before: undefined, after, at: bed.clock.now() + at }, bed.ports);
      const fields = { component: "report", order: "orders/1", lag, outcome: "reported", to: "PREPARATION" };
      assert.deepEqual(
        bed.lines.map((line) => line.fields),
        [fields],
      );
    });
  }

  it("log a lag that lasts until they are done", async () => {
    const { bed, after } = await prepared();
    bed.food.hooks.once("updateOrder", "after", () => bed.clock.advance(2_000));
    await runReaction("report", "1", { before: undefined, after, at: bed.clock.now() - 1_000 }, bed.ports);
    assert.equal(bed.lines.at(-1)?.fields.lag, 3_000);
  });

  it("log no lag if the time of the write is unknown", async () => {
    const { bed, after } = await prepared();
    await runReaction("customer", "1", { before: undefined, after }, bed.ports);
    const fields = { component: "customer", order: "orders/1", outcome: "advanced", to: "customer known" };
    assert.deepEqual(
      bed.lines.map((line) => line.fields),
      [fields],
    );
  });

  it("leave a report without a slot to the next poll, and have a failed one come again", async () => {
    const { bed, after } = await prepared();
    bed.food.hooks.once("getOrder", "before", () => {
      throw new NoSlotError("GetOrder");
    });
    await runReaction("report", "1", { before: undefined, after }, bed.ports);
    assert.equal(bed.lines.at(-1)?.fields.outcome, "skipped");
    bed.food.hooks.once("getOrder", "before", () => {
      throw new StoreError("down");
    });
    await assert.rejects(runReaction("report", "1", { before: undefined, after }, bed.ports), StoreError);
  });
});

describe("a message with several orders", () => {
  it("comes again if one failed, after all were handled", async () => {
    const bed = testBed();
    for (const id of ["1", "2", "3"])
      bed.food.orders.set(`orders/${id}`, { name: `orders/${id}`, customerId: "ada", status: "DELIVERED" });
    bed.store.hooks.once("read", "before", () => {
      throw new ConflictError("raced");
    });
    const orders = ["1", "2", "3"].map((id) => ({ order: `orders/${id}`, status: "NEW" }));
    await assert.rejects(handleStageMessage("kitchen", { orders }, bed.ports), ConflictError);
    assert.deepEqual(bed.lines.map(({ fields }) => fields.outcome).sort(), ["retry", "skipped", "skipped"]);
  });
});

describe("the scheduled sweep", () => {
  it("counts the hours that are over, and returns what the sweep did", async () => {
    const bed = testBed();
    assert.equal(((await SCHEDULED.sweep(bed.ports)) as { outcome: string }).outcome, "completed");
    assert.equal(typeof (await bed.store.field("statistics/hours", "hours")), "object");
  });

  it("does not fail if the hours can't be counted, and logs why", async () => {
    const bed = testBed();
    await bed.store.set("statistics/hours", { schema: 2 });
    assert.equal(((await SCHEDULED.sweep(bed.ports)) as { outcome: string }).outcome, "completed");
    const line = bed.lines.at(-1);
    assert.deepEqual([line?.level, line?.fields.component, line?.fields.outcome], ["error", "statistics", "failed"]);
    assert.match(JSON.stringify(line?.fields.reason), /ValidationError/);
  });
});
