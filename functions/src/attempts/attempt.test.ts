import assert from "node:assert/strict";
import fc from "fast-check";
import { ValidationError } from "../domain/errors.js";
import { orderId } from "../domain/resource-names.js";
import type { Fields } from "../ports.js";
import {
  ATTEMPT_STATES,
  type Attempt,
  type AttemptState,
  attemptIn,
  attemptPath,
  claimFields,
  expiryOf,
  nextAction,
} from "./attempt.js";

const NOW = Date.UTC(2026, 0, 1);
const PAST = new Date(NOW - 1);
const EXACTLY = new Date(NOW);
const FUTURE = new Date(NOW + 1);

const CLAIM = { order: "orders/1", stage: "kitchen", id: "a", policy: "park", tries: 1 } as const;
const STATES = Object.keys(ATTEMPT_STATES) as AttemptState[];

function attempt(fields: Partial<Attempt>): Attempt {
  return { schema: 1, ...CLAIM, state: "SENDING", ...fields };
}

describe("an attempt document", () => {
  const path = attemptPath("kitchen", "1");
  const written = claimFields({ ...CLAIM, claimedAt: NOW, leaseUntil: NOW });

  it("can be read as we write it", () => {
    const read = attemptIn({ path, fields: written, version: "1" });
    assert.deepEqual(read, {
      ...attempt({}),
      claimedAt: new Date(NOW),
      leaseUntil: new Date(NOW),
      nextTryAt: null,
      reason: null,
    });
    assert.equal(attemptIn(undefined), undefined);
  });

  it("has an id that is unique to its order and stage", () => {
    assert.equal(path, "attempts/kitchen:1");
    assert.notEqual(attemptPath("shipment", "1"), path);
    const id = fc.string().filter((text) => orderId(`orders/${text}`) !== undefined);
    fc.assert(
      fc.property(id, id, (one, other) => {
        assert.notEqual(attemptPath("kitchen", one), attemptPath("shipment", other));
        assert.ok(one === other || attemptPath("kitchen", one) !== attemptPath("kitchen", other));
      }),
    );
  });

  const refused: [why: string, fields: Fields, field: string][] = [
    ["the schema is newer", { schema: 2 }, "schema"],
    ["its tries are negative", { tries: -1 }, "tries"],
    ["its tries are no whole number", { tries: 0.5 }, "tries"],
    ["there is no schema", { schema: null }, "schema"],
    ["the state is foreign", { state: "COOKING" }, "state"],
    ["the state is inherited by every object", { state: "toString" }, "state"],
    ["the stage creates nothing", { stage: "completion" }, "stage"],
    ["the policy is foreign", { policy: "retry" }, "policy"],
    ["the tries are negative", { tries: -1 }, "tries"],
    ["the tries are not whole", { tries: 1.5 }, "tries"],
    ["the tries are text", { tries: "1" }, "tries"],
    ["the lease is text", { leaseUntil: "2026-01-01" }, "leaseUntil"],
    ["the next try is a number", { nextTryAt: NOW }, "nextTryAt"],
    ["the time at which it may be deleted is text", { expireAt: "2026-01-01" }, "expireAt"],
    ["the id is missing", { id: null }, "id"],
    ["the order is missing", { order: null }, "order"],
    ["the reason is text", { reason: "why not" }, "reason"],
  ];
  for (const [why, fields, field] of refused) {
    it(`is refused if ${why}`, () => {
      assert.throws(
        () => attemptIn({ path, fields: { ...written, ...fields }, version: "1" }),
        (error: unknown) => {
          assert.ok(error instanceof ValidationError);
          assert.ok(error.message.includes(path) && error.message.includes(field), error.message);
          return true;
        },
      );
    });
  }

  it("is parsed or rejected with a ValidationError, whatever it contains", () => {
    const fields = fc.dictionary(fc.constantFrom(...Object.keys(written), "__proto__"), fc.anything());
    fc.assert(
      fc.property(fields, (given) => {
        try {
          attemptIn({ path, fields: { ...written, ...given } as Fields, version: "1" });
        } catch (error) {
          assert.ok(error instanceof ValidationError, String(error));
        }
      }),
    );
  });
});

describe("the next action of an attempt", () => {
  const rows: [what: string, attempt: Partial<Attempt>, policy: Attempt["policy"], may: string][] = [
    ["is being sent, under park", { leaseUntil: FUTURE }, "park", "wait"],
    ["is being sent, with a key", { leaseUntil: FUTURE, policy: "idempotency-key" }, "idempotency-key", "wait"],
    ["ran out of its lease this moment, under park", { leaseUntil: EXACTLY }, "park", "declare uncertain"],
    ["ran out of its lease, under park", { leaseUntil: PAST }, "park", "declare uncertain"],
    [
      "ran out of its lease, sent with a key",
      { leaseUntil: PAST, policy: "idempotency-key" },
      "idempotency-key",
      "send",
    ],
    [
      "ran out of its lease, sent under park, the policy is new",
      { leaseUntil: PAST },
      "idempotency-key",
      "declare uncertain",
    ],
    [
      "ran out of its lease, sent with a key, the policy is park again",
      { leaseUntil: PAST, policy: "idempotency-key" },
      "park",
      "declare uncertain",
    ],
    ["is uncertain, under park", { state: "UNCERTAIN" }, "park", "wait"],
    [
      "is uncertain, sent under park, the policy is new",
      { state: "UNCERTAIN", nextTryAt: PAST },
      "idempotency-key",
      "wait",
    ],
    [
      "is uncertain, sent with a key, backing off",
      { state: "UNCERTAIN", policy: "idempotency-key", nextTryAt: FUTURE },
      "idempotency-key",
      "wait",
    ],
    [
      "is uncertain, sent with a key, backoff over",
      { state: "UNCERTAIN", policy: "idempotency-key", nextTryAt: EXACTLY },
      "idempotency-key",
      "send",
    ],
    [
      "is uncertain, sent with a key, the policy is park again",
      { state: "UNCERTAIN", policy: "idempotency-key", nextTryAt: PAST },
      "park",
      "wait",
    ],
    [
      "was left to an operator when it got uncertain",
      { state: "UNCERTAIN", policy: "idempotency-key" },
      "idempotency-key",
      "wait",
    ],
    ["failed, backing off", { state: "FAILED", nextTryAt: FUTURE }, "park", "wait"],
    ["failed, backoff over this moment", { state: "FAILED", nextTryAt: EXACTLY }, "park", "send"],
    ["failed, backoff over", { state: "FAILED", nextTryAt: PAST }, "park", "send"],
    ["failed, set by an operator without a time", { state: "FAILED", nextTryAt: null }, "park", "send"],
    ["is parked", { state: "PARKED", nextTryAt: PAST }, "idempotency-key", "wait"],
    ["is closed: its order is back", { state: "CLOSED" }, "idempotency-key", "send"],
    ["is closed by an operator", { state: "CLOSED", isDismissed: true }, "idempotency-key", "wait"],
    ["was dismissed before it closed", { state: "CLOSED", dismissedFor: "STRANDED" }, "idempotency-key", "wait"],
    ["was dismissed before it failed", { state: "FAILED", dismissedFor: "STRANDED" }, "park", "wait"],
    [
      "is closed, and another program may have sent it",
      { state: "CLOSED", reason: { code: "STRANDED", message: "" } },
      "idempotency-key",
      "wait",
    ],
  ];
  for (const [what, fields, policy, may] of rows) {
    it(`${what}: the next action is ${may}`, () => assert.equal(nextAction(attempt(fields), NOW, policy).action, may));
  }

  for (const [what, fields, policy, reason] of [
    ["backs off", { nextTryAt: FUTURE, policy: "idempotency-key" }, "idempotency-key", "backing off"],
    ["has no time for a resend", { policy: "idempotency-key" }, "idempotency-key", "uncertain, an operator decides"],
    ["was sent without a key", { nextTryAt: FUTURE }, "idempotency-key", "uncertain, an operator decides"],
    [
      "may not use its key today",
      { nextTryAt: FUTURE, policy: "idempotency-key" },
      "park",
      "uncertain, an operator decides",
    ],
  ] as const) {
    it(`says why an UNCERTAIN attempt waits that ${what}`, () => {
      assert.deepEqual(nextAction(attempt({ state: "UNCERTAIN", ...fields }), NOW, policy), { action: "wait", reason });
    });
  }

  it("says why other attempts wait", () => {
    for (const [fields, reason] of [
      [{ leaseUntil: FUTURE }, "another process is sending"],
      [{ state: "FAILED", nextTryAt: FUTURE }, "backing off"],
      [{ state: "FAILED", dismissedFor: "STRANDED" }, "an operator dismissed the attempt"],
      [{ state: "PARKED" }, "parked, an operator decides"],
      [{ state: "CLOSED", isDismissed: true }, "the attempt is closed"],
    ] as const) {
      assert.deepEqual(nextAction(attempt(fields), NOW, "park"), { action: "wait", reason });
    }
  });

  it("says why an attempt is sent that was closed", () => {
    const next = nextAction(attempt({ state: "CLOSED" }), NOW, "park");
    assert.deepEqual(next, { action: "send", reason: "order is back" });
  });

  it("never resends a create under park, except in FAILED, and in CLOSED after FAILED", () => {
    const time = fc.option(fc.date({ noInvalidDate: true }), { nil: null });
    fc.assert(
      fc.property(fc.constantFrom(...STATES), time, time, fc.boolean(), (state, leaseUntil, nextTryAt, keyedNow) => {
        const next = nextAction(attempt({ state, leaseUntil, nextTryAt }), NOW, keyedNow ? "idempotency-key" : "park");
        assert.ok(next.action !== "send" || state === "FAILED" || state === "CLOSED");
      }),
    );
  });

  it("requires the same key whenever an earlier create may have been applied", () => {
    const time = fc.option(fc.date({ noInvalidDate: true }), { nil: null });
    fc.assert(
      fc.property(
        fc.constantFrom("SENDING" as const, "UNCERTAIN" as const),
        time,
        time,
        (state, leaseUntil, nextTryAt) => {
          const given = attempt({ state, leaseUntil, nextTryAt, policy: "idempotency-key" });
          const next = nextAction(given, NOW, "idempotency-key");
          assert.ok(next.action !== "send" || next.reason === "same key");
        },
      ),
    );
  });
});

describe("the states of an attempt", () => {
  const those = (what: "open" | "needsOperator") => STATES.filter((state) => ATTEMPT_STATES[state][what]);

  it("are all open but CLOSED, and wait for an operator if the outcome is unknown or the tries are used up", () => {
    assert.deepEqual(those("open"), ["SENDING", "FAILED", "PARKED", "UNCERTAIN"]);
    assert.deepEqual(those("needsOperator"), ["PARKED", "UNCERTAIN"]);
  });

  it("expire 30 days after the attempt is closed", () => {
    assert.equal(expiryOf(NOW).toISOString(), "2026-01-31T00:00:00.000Z");
  });
});
