import assert from "node:assert/strict";
import { ConflictError, StoreError } from "../domain/errors.js";
import { orderRefFromId } from "../domain/resource-names.js";
import type { Fields } from "../ports.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import type { AttemptState } from "./attempt-states.js";
import { park } from "./park.js";

const REF = orderRefFromId("1");
const PATH = "attempts/kitchen:1";
const REASON = { code: "STRANDED", message: "no kitchen order is linked" } as const;
const CLOSED_BY = { schema: 1, order: "orders/1", stage: "kitchen", policy: "park", tries: 1, claimedAt: new Date(0) };

const parked = (bed: TestBed, reason: Parameters<typeof park>[2] = REASON) => park("kitchen", REF, reason, bed.ports);

function existing(bed: TestBed, state: AttemptState, fields: Fields = {}): Promise<void> {
  return bed.store.set(PATH, { ...CLOSED_BY, id: "a", state, ...fields });
}

describe("parking an order", () => {
  it("creates an attempt that says why and that nothing was sent, and blocks once", async () => {
    const bed = testBed();
    const outcome = await parked(bed);
    assert.equal(outcome.outcome, "blocked");
    assert.match(String("reason" in outcome && outcome.reason), /^no kitchen order is linked; .*kitchen attempt$/);
    const { id, ...fields } = (await bed.store.fields(PATH)) ?? {};
    assert.match(String(id), /^[0-9a-f-]{36}$/);
    assert.deepEqual(fields, {
      schema: 1,
      order: "orders/1",
      stage: "kitchen",
      policy: "park",
      tries: 0,
      state: "PARKED",
      claimedAt: new Date(bed.clock.now()),
      leaseUntil: null,
      nextTryAt: null,
      reason: REASON,
    });
    assert.equal((await parked(bed)).outcome, "skipped");
    assert.equal(bed.store.commits.length, 1);
  });

  for (const state of ["SENDING", "FAILED", "PARKED", "UNCERTAIN"] as const) {
    it(`leaves an attempt that is ${state} unchanged`, async () => {
      const bed = testBed();
      await existing(bed, state);
      const before = await bed.store.fields(PATH);
      const reason = state === "FAILED" ? { code: "ORDER_NOT_FOUND", message: "gone" } : REASON;
      assert.equal((await parked(bed, reason as typeof REASON)).outcome, "skipped");
      assert.deepEqual(await bed.store.fields(PATH), before);
    });
  }

  for (const [what, fields] of [
    ["closed", {}],
    ["closed for the same reason, but not dismissed", { reason: REASON }],
    ["dismissed for another reason", { isDismissed: true, reason: { code: "LINK_NOT_FOUND", message: "gone" } }],
  ] as const) {
    it(`opens an attempt again that was ${what}, and clears what closed it`, async () => {
      const bed = testBed();
      const absence = { since: new Date(0), last: new Date(0), looks: 3 };
      const closed = { expireAt: new Date(1), missing: absence, unreadable: absence, nextTryAt: new Date(2) };
      await existing(bed, "CLOSED", { ...closed, ...fields });
      assert.equal((await parked(bed)).outcome, "blocked");
      const now = (await bed.store.fields(PATH)) ?? {};
      assert.notEqual(now.id, "a", "it is another attempt");
      assert.deepEqual([now.state, now.tries, now.reason], ["PARKED", 0, REASON]);
      const cleared = [now.expireAt, now.isDismissed, now.missing, now.unreadable, now.nextTryAt, now.leaseUntil];
      assert.deepEqual(cleared, [null, null, null, null, null, null]);
    });
  }

  it("replaces an attempt that only counts lookups, for which nothing was sent", async () => {
    const bed = testBed();
    const looks = { since: new Date(0), last: new Date(0), looks: 2 };
    await existing(bed, "FAILED", { tries: 0, unreadable: looks, reason: { code: "ORDER_UNREADABLE", message: "x" } });
    assert.equal((await parked(bed)).outcome, "blocked");
    const { state, reason, unreadable } = (await bed.store.fields(PATH)) ?? {};
    assert.deepEqual({ state, reason, unreadable }, { state: "PARKED", reason: REASON, unreadable: null });
  });

  it("replaces an attempt that waits for another try if the link of its stage is not found: no try follows", async () => {
    const bed = testBed();
    const reason = { code: "LINK_NOT_FOUND", message: "gone" } as const;
    await existing(bed, "FAILED", { nextTryAt: new Date(2), reason: { code: "UNAVAILABLE", message: "x" } });
    assert.equal((await parked(bed, reason)).outcome, "blocked");
    const now = (await bed.store.fields(PATH)) ?? {};
    assert.deepEqual([now.state, now.reason, now.nextTryAt], ["PARKED", reason, null]);
  });

  it("remembers that an operator dismissed the attempt for another reason", async () => {
    const bed = testBed();
    await existing(bed, "CLOSED", {
      isDismissed: true,
      reason: { code: "UNAVAILABLE", message: "the reply was lost" },
    });
    await parked(bed);
    assert.equal(await bed.store.field(PATH, "dismissedFor"), "UNAVAILABLE");
  });

  it("leaves an attempt unchanged that was dismissed for the same reason before it was opened for another", async () => {
    const bed = testBed();
    const reason = { code: "ORDER_UNREADABLE", message: "no reply" };
    await existing(bed, "FAILED", { dismissedFor: REASON.code, reason });
    assert.equal((await parked(bed)).outcome, "skipped");
    assert.deepEqual(await bed.store.field(PATH, "reason"), reason);
  });

  it("parks an order that another program advanced although its create had failed", async () => {
    const bed = testBed();
    await existing(bed, "FAILED", { reason: { code: "UNAVAILABLE", message: "no connection" } });
    assert.equal((await parked(bed)).outcome, "blocked");
    assert.deepEqual(await bed.store.field(PATH, "reason"), REASON);
  });

  it("leaves an attempt closed that an operator dismissed for the same reason", async () => {
    const bed = testBed();
    await existing(bed, "CLOSED", { isDismissed: true, reason: REASON });
    assert.equal((await parked(bed)).outcome, "skipped");
    assert.equal(await bed.store.field(PATH, "state"), "CLOSED");
  });

  it("takes an attempt that another process created at that moment for its own", async () => {
    const bed = testBed();
    bed.store.hooks.once("commit", "before", () => {
      throw new ConflictError("created concurrently");
    });
    assert.equal((await parked(bed)).outcome, "blocked");
  });

  it("fails if the store does", async () => {
    const bed = testBed();
    bed.store.hooks.once("commit", "before", () => {
      throw new StoreError("down");
    });
    await assert.rejects(parked(bed), StoreError);
  });

  it("stores a message of any length and text", async () => {
    const bed = testBed();
    await parked(bed, { code: "STRANDED", message: `\ud800${"x".repeat(5_000)}` });
    const { message } = (await bed.store.field(PATH, "reason")) as { message: string };
    assert.ok(Buffer.byteLength(message) <= 1_500);
    assert.match(message, /^\ufffdxxx.*…$/);
  });
});
