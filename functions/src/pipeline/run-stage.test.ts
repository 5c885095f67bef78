import assert from "node:assert/strict";
import { BusError, ConflictError, callError, StoreError, ValidationError } from "../domain/errors.js";
import { advanced, blocked, type Outcome, reported, skipped } from "../domain/outcome.js";
import { testBed } from "../testing/test-bed.js";
import { runStage } from "./run-stage.js";

const MESSAGE = { order: "orders/1", status: "NEW" };

async function take(advance: () => Promise<Outcome>, { payload }: { payload: unknown } = { payload: MESSAGE }) {
  const bed = testBed();
  let thrown: unknown;
  let calls = 0;
  const counted = () => {
    calls++;
    return advance();
  };
  await runStage("kitchen", payload, counted, bed.ports).catch((error: unknown) => {
    thrown = error;
  });
  return { thrown, calls, lines: bed.lines };
}

describe("a stage that handles a message", () => {
  for (const [result, level] of [
    [advanced("PREPARATION"), "info"],
    [reported("PREPARATION"), "info"],
    [skipped("the order is NEW"), "debug"],
    [blocked("parked"), "warn"],
  ] as const) {
    it(`logs one line with order, component and outcome if the outcome is ${result.outcome}`, async () => {
      const { thrown, lines } = await take(async () => result);
      assert.equal(thrown, undefined);
      assert.equal(lines.length, 1);
      assert.equal(lines[0]?.level, level);
      assert.deepEqual(lines[0]?.fields, { component: "kitchen", order: "orders/1", ...result });
    });
  }

  for (const error of [
    callError("UNAVAILABLE", "down", false),
    new StoreError("down"),
    new ConflictError("raced"),
    new BusError("down"),
  ]) {
    it(`has the message redelivered after ${error.name} ${"code" in error ? error.code : ""}`, async () => {
      const { thrown, lines } = await take(async () => {
        throw error;
      });
      assert.equal(thrown, error);
      assert.deepEqual([lines.length, lines[0]?.level], [1, "error"]);
      assert.equal(lines[0]?.fields.outcome, "retry");
    });
  }

  it("leaves an order to the next poll if the food service answers about another one", async () => {
    const { thrown, lines } = await take(async () => {
      throw callError("BAD_REPLY", "asked for orders/1, the food service answered with orders/2", true);
    });
    assert.equal(thrown, undefined);
    assert.deepEqual([lines.length, lines[0]?.level, lines[0]?.fields.outcome], [1, "warn", "blocked"]);
  });

  for (const [error, outcome] of [
    [callError("NOT_FOUND", "gone", true), "dropped"],
    [new ValidationError("a newer schema"), "quarantined"],
    [new TypeError("a bug"), "dropped"],
  ] as const) {
    it(`drops the message after ${error.name}, and is not retried`, async () => {
      const { thrown, lines } = await take(async () => {
        throw error;
      });
      assert.equal(thrown, undefined);
      assert.deepEqual([lines.length, lines[0]?.level], [1, "error"]);
      assert.equal(lines[0]?.fields.outcome, outcome);
      assert.equal(lines[0]?.fields.order, "orders/1");
    });
  }

  it("does nothing at all for a message that names no order", async () => {
    for (const payload of [undefined, null, "", 7, [], {}, { order: "orders/../leases/poll", status: "NEW" }]) {
      const { thrown, calls, lines } = await take(async () => advanced("PREPARATION"), { payload });
      assert.deepEqual([thrown, calls, lines.length], [undefined, 0, 1]);
      assert.equal(lines[0]?.fields.outcome, "quarantined");
    }
  });
});
