import assert from "node:assert/strict";
import { callError, NoSlotError } from "./domain/errors.js";
import { AdaptiveFlowControl, withFlowControl } from "./flow-control.js";
import type { Clock, Slot, SlotKind } from "./ports.js";
import { testBed } from "./testing/test-bed.js";

/** A clock whose sleepers wake when it is advanced. */
class SteppedClock implements Clock {
  private time = 0;
  private sleepers: { at: number; wake: () => void }[] = [];

  now(): number {
    return this.time;
  }

  sleep(milliseconds: number): Promise<void> {
    return new Promise((wake) => this.sleepers.push({ at: this.time + milliseconds, wake }));
  }

  async advance(milliseconds: number): Promise<void> {
    this.time += milliseconds;
    const due = this.sleepers.filter(({ at }) => at <= this.time);
    this.sleepers = this.sleepers.filter(({ at }) => at > this.time);
    for (const { wake } of due) wake();
    await settled();
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const overloaded = () => Promise.reject(callError("UNAVAILABLE", "too much", true));
const tooMany = () => Promise.reject(callError("RESOURCE_EXHAUSTED", "too many calls a second", true));

describe("flow control", () => {
  let clock: SteppedClock;
  let flow: AdaptiveFlowControl;
  /** What was granted, in order. */
  let granted: (SlotKind | "none")[];
  let held: Slot[];

  beforeEach(() => {
    clock = new SteppedClock();
    flow = new AdaptiveFlowControl(clock, { CALL_DEADLINE_SECONDS: 5 });
    granted = [];
    held = [];
  });

  const ask = (kind: SlotKind) =>
    void flow.acquire(kind).then((slot) => {
      granted.push(slot ? kind : "none");
      if (slot) held.push(slot);
    });
  const acquire = async () => (await flow.acquire("lookup")) ?? assert.fail("no slot");

  it("starts with two slots, and grants the next one when one is free", async () => {
    for (let count = 0; count < 3; count++) ask("lookup");
    await settled();
    assert.equal(granted.length, 2);
    held[0]?.release();
    held[0]?.release();
    await settled();
    assert.equal(granted.length, 3);
  });

  it("grants slots to lists first, then to creates, updates and lookups", async () => {
    ask("lookup");
    ask("lookup");
    await clock.advance(1_000);
    for (const kind of ["lookup", "update", "create", "list"] as const) ask(kind);
    for (let index = 0; index < 4; index++) {
      held[index]?.release();
      await settled();
    }
    assert.deepEqual(granted, ["lookup", "lookup", "list", "create", "update", "lookup"]);
  });

  it("gives up after two deadlines", async () => {
    for (let count = 0; count < 3; count++) ask("lookup");
    await clock.advance(9_999);
    assert.deepEqual(granted, ["lookup", "lookup"]);
    await clock.advance(1);
    assert.deepEqual(granted, ["lookup", "lookup", "none"]);
  });

  it("pauses when the service pushes back, and then sends a lookup before a create", async () => {
    const slot = await acquire();
    await assert.rejects(slot.run("getOrder", overloaded));
    ask("create");
    ask("lookup");
    await settled();
    assert.deepEqual(granted, []);
    await clock.advance(100);
    assert.deepEqual(granted, ["lookup"]);
    await held[0]?.run("getOrder", async () => "answered");
    await clock.advance(1_000);
    assert.deepEqual(granted, ["lookup", "create"]);
  });

  it("grants no create while the service only pushes back", async () => {
    const slot = await acquire();
    await assert.rejects(slot.run("getOrder", overloaded));
    ask("create");
    for (let seconds = 0; seconds < 9; seconds++) await clock.advance(1_000);
    assert.deepEqual(granted, []);
    await clock.advance(1_000);
    assert.deepEqual(granted, ["none"]);
  });

  it("sends no create that waited for its claim while the service pushed back", async () => {
    const slot = await acquire();
    ask("create");
    await settled();
    await assert.rejects(slot.run("getOrder", tooMany));
    let sent = 0;
    const create = held[0]?.run("create kitchen", async () => ++sent);
    await assert.rejects(create ?? assert.fail(), (error) => error instanceof NoSlotError && !error.sent);
    assert.equal(sent, 0);
  });

  it("does not count an oversized message as a pushback", async () => {
    for (const message of [
      "Received message larger than max (5000000 vs. 4194304)",
      "grpc: received message larger than max (5000000 vs. 4194304)",
      "gRPC message exceeds maximum size 4194304: 5000000",
    ]) {
      const slot = await acquire();
      await assert.rejects(
        slot.run("listOrders", () => Promise.reject(callError("RESOURCE_EXHAUSTED", message, true))),
      );
      (await acquire()).release();
    }
  });

  it("does not count a rejection as a pushback", async () => {
    const slot = await acquire();
    await assert.rejects(slot.run("getOrder", () => Promise.reject(callError("NOT_FOUND", "none", true))));
    ask("create");
    await settled();
    assert.deepEqual(granted, ["create"]);
  });

  describe("of a food service", () => {
    it("fails a lookup without a slot as not sent, and calls nothing", async () => {
      const bed = testBed();
      const food = withFlowControl(bed.food, { acquire: async () => undefined });
      await assert.rejects(food.getOrder("orders/1"), (error) => error instanceof NoSlotError && !error.sent);
    });
  });
});
