import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import fc from "fast-check";
import { FoodServiceModel } from "../../../services/food-service/model/food-service-model.js";
import { ConflictError, callError, StoreError } from "../domain/errors.js";
import { type CreatingStage, STAGES } from "../domain/order-lifecycle.js";
import { dispatchShipment } from "../pipeline/dispatch-shipment.js";
import { runStage } from "../pipeline/run-stage.js";
import { sendToKitchen } from "../pipeline/send-to-kitchen.js";
import type { Fields } from "../ports.js";
import { linkEntry } from "../relations/history.js";
import type { Settings } from "../settings.js";
import { type TestBed, testBed } from "../testing/test-bed.js";
import { idempotencyKey } from "./idempotency-key.js";

const ID = "7f3c";
const ORDER = `orders/${ID}`;
const RELATION = `relations/${ID}`;
const LEASE_MS = 60_000;
const YEAR_MS = 365 * 24 * 3_600_000;

const HANDLERS = { kitchen: sendToKitchen, shipment: dispatchShipment };
const CALLS = { kitchen: "createKitchenOrder", shipment: "createShipment" } as const;
const LED_TO = { kitchen: "PREPARATION", shipment: "IN_FLIGHT" };

const REFUSALS = [
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "PERMISSION_DENIED",
  "UNAUTHENTICATED",
  "FAILED_PRECONDITION",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
];
const UNDECIDED = [...Object.keys(status).filter((name) => Number.isNaN(Number(name))), "BAD_REPLY", "42"].filter(
  (code) => code !== "OK" && !REFUSALS.includes(code),
);

/** One order whose turn it is at this stage. */
async function bedFor(
  stage: CreatingStage,
  settings: Partial<Settings> = {},
  options: Parameters<typeof testBed>[1] = {},
): Promise<TestBed> {
  const bed = testBed(settings, options);
  bed.food.orders.set(ORDER, { name: ORDER, customerId: "krithik", status: STAGES[stage].takes });
  if (stage === "shipment") {
    bed.food.kitchenOrders.set("kitchenorders/k", { name: "kitchenorders/k", status: "PACKAGED" });
    await bed.store.set(RELATION, { kitchen: "kitchenorders/k", state: "PREPARATION" });
  }
  return bed;
}

/** Lets these happen around the commits that come after the create, one each: the first is the link's. */
function atLink(bed: TestBed, stage: CreatingStage, when: "before" | "after", ...actions: (() => unknown)[]): void {
  bed.food.hooks.once(CALLS[stage], "after", () => {
    for (const action of actions) bed.store.hooks.once("commit", when, action);
  });
}

/** Delivers one message; what was thrown makes the platform deliver it again. */
async function deliver(bed: TestBed, stage: CreatingStage): Promise<{ thrown: unknown; outcome: string }> {
  const before = bed.lines.length;
  let thrown: unknown;
  const message = { order: ORDER, status: STAGES[stage].takes };
  await runStage(stage, message, HANDLERS[stage], bed.ports).catch((error: unknown) => {
    thrown = error;
  });
  const { outcome } = (bed.lines.slice(before).at(-1)?.fields ?? {}) as { outcome: string };
  return { thrown, outcome };
}

const attemptOf = (bed: TestBed, stage: CreatingStage) => bed.store.fields(`attempts/${stage}:${ID}`);
const stateOf = async (bed: TestBed, stage: CreatingStage) => (await attemptOf(bed, stage))?.state;
const linkOf = (bed: TestBed, stage: CreatingStage) => bed.store.field(RELATION, stage);

function timeIn(fields: Fields | undefined, name: string): number {
  const time = fields?.[name];
  assert.ok(time instanceof Date, `${name} is ${time}`);
  return time.getTime();
}

function fails(error: unknown) {
  return () => {
    throw error;
  };
}

/** A moment that a test controls. */
function moment() {
  let come = () => {};
  const came = new Promise<void>((resolve) => {
    come = resolve;
  });
  return { came, come };
}

/** Waits until something is so, for a bounded number of turns of the event loop. */
async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; turns < 1_000; turns++) {
    if (condition()) return;
    await turn();
  }
  assert.fail("it never came to that");
}

async function expectLinkedOnce(bed: TestBed, stage: CreatingStage): Promise<void> {
  assert.deepEqual(bed.food.created, [{ stage, key: idempotencyKey(ORDER, stage) }]);
  const name = stage === "kitchen" ? "kitchenorders/1" : "shipments/1";
  const relation = await bed.store.fields(RELATION);
  assert.equal(relation?.[stage], name);
  assert.equal(relation?.state, LED_TO[stage]);
  assert.equal(await attemptOf(bed, stage), undefined, "an attempt that is settled");
}

for (const stage of ["kitchen", "shipment"] as const) {
  const call = CALLS[stage];
  const path = `attempts/${stage}:${ID}`;

  describe(`creating once at the ${stage} stage`, () => {
    it("claims before it sends, and writes link, attempt and history in one commit", async () => {
      const bed = await bedFor(stage);
      let id: unknown;
      bed.food.hooks.once(call, "before", async () => {
        const claim = await attemptOf(bed, stage);
        id = claim?.id;
        assert.deepEqual([claim?.state, claim?.tries, claim?.order], ["SENDING", 1, ORDER]);
        assert.deepEqual(claim?.leaseUntil, new Date(bed.clock.now() + LEASE_MS));
      });
      assert.equal((await deliver(bed, stage)).outcome, "advanced");
      const written = bed.store.commits.at(-1)?.map((write) => write.path.split("/")[0]);
      assert.deepEqual(written?.sort(), ["attempts", "history", "relations"]);
      assert.deepEqual(
        bed.store.memory.all("history").map(({ fields }) => [fields[stage], fields.claim]),
        [[await linkOf(bed, stage), id]],
      );
      await expectLinkedOnce(bed, stage);
    });

    it("sends nothing if the link was saved and its attempt deleted after the relation was read", async () => {
      const bed = await bedFor(stage);
      bed.food.hooks.once("ready", "before", () => bed.store.set(RELATION, { [stage]: "first/1" }));
      assert.equal((await deliver(bed, stage)).outcome, "skipped");
      assert.deepEqual(bed.food.created, []);
      assert.equal(await linkOf(bed, stage), "first/1");
      assert.equal(await attemptOf(bed, stage), undefined, "the claim is given back");
    });

    it("releases its claim if the store can't say whether the link was saved", async () => {
      const bed = await bedFor(stage);
      const away = new StoreError("no answer");
      bed.food.hooks.once("ready", "before", () => {
        for (let tries = 0; tries < 5; tries++) bed.store.hooks.once("read", "before", fails(away));
      });
      assert.equal((await deliver(bed, stage)).thrown, away);
      assert.deepEqual(bed.food.created, []);
      assert.equal(await attemptOf(bed, stage), undefined);
      assert.equal((await deliver(bed, stage)).outcome, "advanced");
      await expectLinkedOnce(bed, stage);
    });

    it("sends with the deadline of a single call", async () => {
      const bed = await bedFor(stage);
      const create = bed.food[call];
      let deadline = 0;
      bed.food[call] = (options: { idempotencyKey: string; deadline: number }) => {
        deadline = options.deadline;
        return create(options) as never;
      };
      await deliver(bed, stage);
      assert.equal(deadline, bed.clock.now() + 10_000);
    });

    it("does nothing for the second of two deliveries", async () => {
      const bed = await bedFor(stage);
      await deliver(bed, stage);
      const writes = bed.store.writes.length;
      // The food service shows the order as it was until the trigger has reported.
      const second = await deliver(bed, stage);
      assert.equal(second.thrown, undefined);
      assert.equal(bed.store.writes.length, writes);
      await expectLinkedOnce(bed, stage);
    });

    for (const policy of ["park", "idempotency-key"] as const) {
      it(`creates once for concurrent deliveries, however they interleave, under ${policy}`, async () => {
        await fc.assert(
          fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 3 }), async (scheduler, deliveries) => {
            const pause = (label: string) => scheduler.schedule(Promise.resolve(), label);
            const bed = await bedFor(stage, { CREATE_POLICY: policy }, { pause });
            const all = Promise.all(Array.from({ length: deliveries }, () => deliver(bed, stage)));
            await scheduler.waitFor(all);
            assert.deepEqual(
              (await all).filter(({ thrown }) => thrown),
              [],
            );
            await expectLinkedOnce(bed, stage);
          }),
          { numRuns: 150 },
        );
      });
    }

    it("creates at most once under park, whatever the store answers to concurrent deliveries", async () => {
      const fault = fc.record({
        operation: fc.constantFrom("commit" as const, "read" as const),
        when: fc.constantFrom("before" as const, "after" as const),
        error: fc.constantFrom(new StoreError("lost"), new ConflictError("raced")),
      });
      await fc.assert(
        fc.asyncProperty(fc.scheduler(), fc.array(fault, { maxLength: 6 }), async (scheduler, faults) => {
          const pause = (label: string) => scheduler.schedule(Promise.resolve(), label);
          const bed = await bedFor(stage, {}, { pause });
          for (const { operation, when, error } of faults) {
            if (operation === "read" && error instanceof ConflictError) continue;
            bed.store.hooks.once(operation, when, fails(error));
          }
          await scheduler.waitFor(Promise.all([deliver(bed, stage), deliver(bed, stage), deliver(bed, stage)]));
          bed.clock.advance(YEAR_MS);
          await scheduler.waitFor(deliver(bed, stage));
          await scheduler.waitFor(deliver(bed, stage));
          assert.ok(bed.food.created.length <= 1, `${bed.food.created.length} creates`);
          const link = await linkOf(bed, stage);
          if (link !== undefined) await expectLinkedOnce(bed, stage);
        }),
        { numRuns: 300 },
      );
    });

    for (const error of [new StoreError("no answer"), new ConflictError("exists already")]) {
      it(`recognizes its own claim if the commit was applied and answered with a ${error.name}`, async () => {
        const bed = await bedFor(stage);
        bed.store.hooks.once("commit", "after", fails(error));
        assert.equal((await deliver(bed, stage)).outcome, "advanced");
        await expectLinkedOnce(bed, stage);
      });

      it(`recognizes its own later claim if the commit was applied and answered with a ${error.name}`, async () => {
        const bed = await bedFor(stage);
        bed.food.hooks.once(call, "before", fails(callError("UNAVAILABLE", "not connected", false)));
        await deliver(bed, stage);
        bed.clock.advance(YEAR_MS);
        // The first commit is the claim of a new attempt, which fails: one exists. The second is the claim.
        bed.store.hooks.once("commit", "before", () => bed.store.hooks.once("commit", "after", fails(error)));
        assert.equal((await deliver(bed, stage)).outcome, "advanced");
        await expectLinkedOnce(bed, stage);
      });

      it(`recognizes its own link if the commit was applied and answered with a ${error.name}`, async () => {
        const bed = await bedFor(stage);
        atLink(bed, stage, "after", fails(error));
        const { thrown, outcome } = await deliver(bed, stage);
        assert.deepEqual([thrown, outcome], [undefined, "advanced"]);
        await deliver(bed, stage);
        await expectLinkedOnce(bed, stage);
      });

      it(`counts a rejection once if the commit was applied and answered with a ${error.name}`, async () => {
        const bed = await bedFor(stage);
        bed.food.hooks.once(call, "before", () => {
          bed.store.hooks.once("commit", "after", fails(error));
          throw callError("INVALID_ARGUMENT", "no", true);
        });
        await deliver(bed, stage);
        const attempt = await attemptOf(bed, stage);
        assert.deepEqual([attempt?.state, attempt?.tries], ["FAILED", 1]);
      });
    }

    it("reads nothing between an answer and the commit of its link", async () => {
      const bed = await bedFor(stage);
      let reads = 0;
      bed.food.hooks.once(call, "after", () => bed.store.hooks.once("read", "before", () => reads++));
      assert.equal((await deliver(bed, stage)).outcome, "advanced");
      assert.equal(reads, 0);
    });

    it("settles the attempt if another program has saved the same link and its history entry", async () => {
      const bed = await bedFor(stage);
      bed.food.nextNames.push("made/1");
      const entry = linkEntry(ORDER, stage, "made/1", bed.clock.now());
      atLink(bed, stage, "before", async () => {
        await bed.store.set(RELATION, { [stage]: "made/1" });
        await bed.store.memory.commit([entry]);
      });
      assert.equal((await deliver(bed, stage)).outcome, "advanced");
      assert.deepEqual([await linkOf(bed, stage), await attemptOf(bed, stage)], ["made/1", undefined]);
      assert.equal(await bed.store.field(entry.path, "claim"), undefined);
    });

    it("sends nothing if the claim could not be saved, and tries again at the next delivery", async () => {
      const bed = await bedFor(stage);
      const lost = new StoreError("no answer");
      bed.store.hooks.once("commit", "before", fails(lost));
      assert.equal((await deliver(bed, stage)).thrown, lost);
      assert.deepEqual(bed.food.created, []);
      assert.equal(await attemptOf(bed, stage), undefined);
      assert.equal((await deliver(bed, stage)).outcome, "advanced");
      await expectLinkedOnce(bed, stage);
    });

    it("sends nothing if another process has claimed and settled the attempt at that moment", async () => {
      const bed = await bedFor(stage);
      bed.store.hooks.once("commit", "before", fails(new ConflictError("exists already")));
      assert.deepEqual(await deliver(bed, stage), { thrown: undefined, outcome: "skipped" });
      assert.deepEqual(bed.food.created, []);
      assert.equal(bed.lines.at(-1)?.fields.reason, "the attempt is already settled");
    });

    it("claims an attempt again without another look at the relation, which could lose what the first try left", async () => {
      const bed = await bedFor(stage, { CREATE_POLICY: "idempotency-key" });
      bed.food.hooks.once(call, "before", fails(callError("UNAVAILABLE", "no answer", true)));
      await deliver(bed, stage);
      bed.clock.advance(YEAR_MS);
      // The first commit fails, because the attempt exists.
      bed.store.hooks.once("commit", "before", () =>
        bed.store.hooks.once("commit", "after", () => {
          for (let reads = 0; reads < 5; reads++) bed.store.hooks.once("read", "before", fails(new StoreError("down")));
        }),
      );
      assert.deepEqual(await deliver(bed, stage), { thrown: undefined, outcome: "advanced" });
      await expectLinkedOnce(bed, stage);
    });

    it("saves the link even if the store is unavailable for a moment", async () => {
      const bed = await bedFor(stage);
      atLink(bed, stage, "before", ...Array.from({ length: 4 }, () => fails(new StoreError("no answer"))));
      assert.equal((await deliver(bed, stage)).outcome, "advanced");
      await expectLinkedOnce(bed, stage);
    });

    it("logs what was created if the link can't be saved, and never creates again under park", async () => {
      const bed = await bedFor(stage);
      atLink(bed, stage, "before", ...Array.from({ length: 5 }, () => fails(new StoreError("no answer"))));
      const { thrown } = await deliver(bed, stage);
      assert.ok(thrown instanceof StoreError);
      const name = stage === "kitchen" ? "kitchenorders/1" : "shipments/1";
      assert.ok(bed.lines.some(({ level, fields }) => level === "error" && fields.name === name));
      assert.equal((await deliver(bed, stage)).outcome, "skipped");
      bed.clock.advance(LEASE_MS);
      assert.equal((await deliver(bed, stage)).outcome, "blocked");
      assert.equal(await stateOf(bed, stage), "UNCERTAIN");
      bed.clock.advance(YEAR_MS);
      assert.equal((await deliver(bed, stage)).outcome, "skipped");
      assert.equal(bed.food.created.length, 1);
    });

    it("leaves no claim if the service can't be reached", async () => {
      const bed = await bedFor(stage);
      const writes = bed.store.writes.length;
      const down = callError("UNAVAILABLE", "can't be reached", false);
      bed.food.hooks.once("ready", "before", fails(down));
      assert.equal((await deliver(bed, stage)).thrown, down);
      assert.equal(bed.store.writes.length, writes);
      assert.equal(await attemptOf(bed, stage), undefined);
    });

    it("retries a create that was never sent after a backoff, and never parks the order for it", async () => {
      const bed = await bedFor(stage, { CREATE_TRIES: 1 });
      for (let tries = 0; tries < 20; tries++) {
        bed.food.hooks.once(call, "before", fails(callError("DEADLINE_EXCEEDED", "never sent", false)));
        await deliver(bed, stage);
        const attempt = await attemptOf(bed, stage);
        assert.deepEqual([attempt?.state, attempt?.tries, attempt?.leaseUntil], ["FAILED", 0, null]);
        const wait = timeIn(attempt, "nextTryAt") - bed.clock.now();
        assert.ok(wait >= 2_500 && wait <= 5_000, `${wait} ms`);
        bed.clock.advance(wait - 1);
        assert.equal((await deliver(bed, stage)).outcome, "skipped");
        bed.clock.advance(1);
      }
      assert.deepEqual(bed.food.created, []);
      assert.equal((await deliver(bed, stage)).outcome, "advanced");
      await expectLinkedOnce(bed, stage);
    });

    for (const code of REFUSALS) {
      it(`retries after ${code} with growing backoff, and parks the order after the last try`, async () => {
        const bed = await bedFor(stage, { CREATE_TRIES: 3 });
        for (let tries = 1; tries <= 3; tries++) {
          bed.food.hooks.once(call, "before", fails(callError(code, "no", true)));
          const { thrown, outcome } = await deliver(bed, stage);
          assert.deepEqual([thrown, outcome], [undefined, "blocked"]);
          const attempt = await attemptOf(bed, stage);
          assert.deepEqual([attempt?.state, attempt?.tries], [tries < 3 ? "FAILED" : "PARKED", tries]);
          assert.deepEqual(attempt?.reason, { code, message: "no" });
          if (tries === 3) break;
          const wait = timeIn(attempt, "nextTryAt") - bed.clock.now();
          assert.ok(wait >= 2_500 * 2 ** (tries - 1) && wait <= 5_000 * 2 ** (tries - 1), `${wait} ms`);
          bed.clock.advance(wait - 1);
          assert.equal((await deliver(bed, stage)).outcome, "skipped");
          bed.clock.advance(1);
        }
        bed.clock.advance(YEAR_MS);
        assert.equal((await deliver(bed, stage)).outcome, "skipped");
        assert.deepEqual(bed.food.created, []);
      });
    }

    for (const code of UNDECIDED) {
      it(`never resends after ${code} under park`, async () => {
        const bed = await bedFor(stage);
        // The worst case: it was carried out.
        bed.food.hooks.once(call, "after", fails(callError(code, "no answer", true)));
        const { thrown, outcome } = await deliver(bed, stage);
        assert.deepEqual([thrown, outcome], [undefined, "blocked"]);
        const attempt = await attemptOf(bed, stage);
        assert.equal(attempt?.state, "UNCERTAIN");
        assert.deepEqual(attempt?.reason, { code, message: "no answer" });
        bed.clock.advance(YEAR_MS);
        assert.equal((await deliver(bed, stage)).outcome, "skipped");
        assert.equal(bed.food.created.length, 1);
        assert.equal(await linkOf(bed, stage), undefined);
      });

      it(`resends with the same key after ${code} under idempotency-key`, async () => {
        const bed = await bedFor(stage, { CREATE_POLICY: "idempotency-key" });
        bed.food.nextNames.push("made/1", "made/1");
        bed.food.hooks.once(call, "after", fails(callError(code, "no answer", true)));
        await deliver(bed, stage);
        const { nextTryAt, state } = (await attemptOf(bed, stage)) as { nextTryAt: Date; state: string };
        assert.equal(state, "UNCERTAIN");
        assert.equal((await deliver(bed, stage)).outcome, "skipped");
        bed.clock.advance(nextTryAt.getTime() - bed.clock.now());
        assert.equal((await deliver(bed, stage)).outcome, "advanced");
        const keys = bed.food.created.map(({ key }) => key);
        assert.deepEqual(keys, [idempotencyKey(ORDER, stage), idempotencyKey(ORDER, stage)]);
        assert.equal(await linkOf(bed, stage), "made/1");
        assert.equal(await attemptOf(bed, stage), undefined);
      });
    }

    for (const error of [callError("INVALID_ARGUMENT", "no", true), callError("UNAVAILABLE", "down", false)]) {
      it(`stays uncertain if the resend ended with ${error.code}: the first may have been applied`, async () => {
        const bed = await bedFor(stage, { CREATE_POLICY: "idempotency-key", CREATE_TRIES: 1 });
        bed.food.hooks.once(call, "after", fails(callError("UNAVAILABLE", "no answer", true)));
        await deliver(bed, stage);
        bed.clock.advance(YEAR_MS);
        bed.food.hooks.once(call, "before", fails(error));
        await deliver(bed, stage);
        assert.equal(await stateOf(bed, stage), "UNCERTAIN");
      });
    }

    it("stays uncertain if the resend of a create whose process died is rejected: the first may have been applied", async () => {
      const bed = await bedFor(stage, { CREATE_POLICY: "idempotency-key", CREATE_TRIES: 1 });
      bed.food.hooks.once(call, "after", () => new Promise(() => {}));
      void deliver(bed, stage);
      await until(() => bed.food.created.length === 1);
      bed.clock.advance(LEASE_MS);
      bed.food.hooks.once(call, "before", fails(callError("INVALID_ARGUMENT", "no", true)));
      await deliver(bed, stage);
      assert.equal(await stateOf(bed, stage), "UNCERTAIN");
    });

    it("never resends with a key a create that was sent under park", async () => {
      const bed = await bedFor(stage);
      bed.food.hooks.once(call, "after", fails(callError("UNKNOWN", "no answer", true)));
      await deliver(bed, stage);
      bed.ports.settings.CREATE_POLICY = "idempotency-key";
      bed.clock.advance(YEAR_MS);
      assert.equal((await deliver(bed, stage)).outcome, "skipped");
      assert.equal(bed.food.created.length, 1);
    });

    it("is uncertain if our own code throws after the create was called", async () => {
      const bed = await bedFor(stage);
      bed.food.hooks.once(call, "after", fails(new TypeError("a bug")));
      await deliver(bed, stage);
      assert.equal(await stateOf(bed, stage), "UNCERTAIN");
    });

    it("saves the link of a reply that arrives after the lease expired and the attempt was declared uncertain", async () => {
      const bed = await bedFor(stage);
      const answer = moment();
      bed.food.hooks.once(call, "after", () => answer.came);
      const slow = deliver(bed, stage);
      await until(() => bed.food.created.length === 1);

      bed.clock.advance(LEASE_MS - 1);
      assert.equal((await deliver(bed, stage)).outcome, "skipped");
      bed.clock.advance(1);
      assert.equal((await deliver(bed, stage)).outcome, "blocked");
      const attempt = await attemptOf(bed, stage);
      assert.equal(attempt?.state, "UNCERTAIN");
      assert.equal((attempt?.reason as Fields | undefined)?.code, "LEASE_EXPIRED");

      answer.come();
      assert.equal((await slow).outcome, "advanced");
      await expectLinkedOnce(bed, stage);
    });

    it("accepts a rejection that arrives after the lease expired", async () => {
      const bed = await bedFor(stage);
      const answer = moment();
      const sent = moment();
      bed.food.hooks.once(call, "before", async () => {
        sent.come();
        await answer.came;
        throw callError("INVALID_ARGUMENT", "no", true);
      });
      const slow = deliver(bed, stage);
      await sent.came;
      bed.clock.advance(LEASE_MS);
      await deliver(bed, stage);
      assert.equal(await stateOf(bed, stage), "UNCERTAIN");
      answer.come();
      await slow;
      assert.equal(await stateOf(bed, stage), "FAILED");
    });

    it("takes over an expired claim with the same key, and both replies link one resource", async () => {
      const bed = await bedFor(stage, { CREATE_POLICY: "idempotency-key" });
      bed.food.nextNames.push("made/1", "made/1");
      const answer = moment();
      bed.food.hooks.once(call, "after", () => answer.came);
      const slow = deliver(bed, stage);
      await until(() => bed.food.created.length === 1);
      bed.clock.advance(LEASE_MS);
      assert.equal((await deliver(bed, stage)).outcome, "advanced");
      answer.come();
      assert.deepEqual([(await slow).thrown, (await slow).outcome], [undefined, "advanced"]);
      assert.equal(await linkOf(bed, stage), "made/1");
      assert.equal(await attemptOf(bed, stage), undefined);
    });

    it("declares a crashed process's claim uncertain only once, after any number of deliveries", async () => {
      const bed = await bedFor(stage);
      const sent = moment();
      bed.food.hooks.once(call, "before", () => {
        sent.come();
        return new Promise(() => {});
      });
      void deliver(bed, stage);
      await sent.came;
      bed.clock.advance(LEASE_MS);
      const outcomes = await Promise.all([deliver(bed, stage), deliver(bed, stage), deliver(bed, stage)]);
      assert.deepEqual(
        outcomes.map(({ thrown }) => thrown),
        [undefined, undefined, undefined],
      );
      assert.equal(bed.store.writes.filter((write) => write.path === path).length, 2);
      assert.equal(await stateOf(bed, stage), "UNCERTAIN");
    });

    for (const [what, name] of [
      ["an empty name", ""],
      ["an oversized name", "x".repeat(1401)],
      ["a name with a control character", "kitchenorders/\n"],
      ["the name of an order", "orders/1"],
    ] as const) {
      it(`does not link ${what}`, async () => {
        const bed = await bedFor(stage);
        bed.food.nextNames.push(name);
        assert.equal((await deliver(bed, stage)).outcome, "blocked");
        assert.equal(await linkOf(bed, stage), undefined);
        const attempt = await attemptOf(bed, stage);
        assert.deepEqual([attempt?.state, (attempt?.reason as Fields | undefined)?.code], ["UNCERTAIN", "BAD_REPLY"]);
        assert.ok(JSON.stringify(attempt?.reason).length < 1_000, "short enough to read");
      });
    }

    it("does not link a resource that an earlier order of the same name had", async () => {
      const bed = await bedFor(stage);
      await bed.store.memory.commit([linkEntry(ORDER, stage, "made/1", bed.clock.now(), "an earlier claim")]);
      bed.food.nextNames.push("made/1");
      assert.equal((await deliver(bed, stage)).outcome, "blocked");
      assert.equal(await linkOf(bed, stage), undefined);
      assert.equal(await stateOf(bed, stage), "UNCERTAIN");
    });

    it("does not link a resource that another order has, although the relation names it", async () => {
      const bed = await bedFor(stage);
      bed.food.nextNames.push("made/1");
      await bed.store.memory.commit([linkEntry("orders/other", stage, "made/1", bed.clock.now())]);
      atLink(bed, stage, "before", () => bed.store.set(RELATION, { [stage]: "made/1" }));
      assert.equal((await deliver(bed, stage)).outcome, "blocked");
      assert.equal(await stateOf(bed, stage), "UNCERTAIN");
    });

    it("does not link a resource that another order has", async () => {
      const bed = await bedFor(stage);
      await bed.store.memory.commit([linkEntry("orders/other", stage, "made/1", bed.clock.now())]);
      bed.food.nextNames.push("made/1");
      assert.equal((await deliver(bed, stage)).outcome, "blocked");
      assert.equal(await linkOf(bed, stage), undefined);
      const { state, reason } = (await attemptOf(bed, stage)) as { state: string; reason: Fields };
      assert.equal(state, "UNCERTAIN");
      assert.match(String(reason.message), /made\/1.*orders\/other/);
    });

    for (const now of ["CANCELLED", "REJECTED"] as const) {
      it(`creates nothing for an order that has just become ${now}`, async () => {
        const bed = await bedFor(stage);
        bed.food.hooks.once("getOrder", "before", () => {
          bed.food.orders.set(ORDER, { name: ORDER, customerId: "krithik", status: now });
        });
        await deliver(bed, stage);
        assert.deepEqual(bed.food.created, []);
        assert.equal(await attemptOf(bed, stage), undefined);
        if (stage === "shipment") assert.equal(await bed.store.field(RELATION, "state"), now);
      });
    }

    it("keeps the fields that another program writes to the relation concurrently", async () => {
      const bed = await bedFor(stage);
      atLink(bed, stage, "before", () => bed.store.set(RELATION, { note: "extra cutlery" }));
      assert.equal((await deliver(bed, stage)).outcome, "advanced");
      await expectLinkedOnce(bed, stage);
      assert.equal(await bed.store.field(RELATION, "note"), "extra cutlery");
    });

    it("saves the link in a relation that was closed concurrently, without reopening it", async () => {
      const bed = await bedFor(stage);
      const closed = { schema: 1, state: "CANCELLED", times: { CANCELLED: new Date(0) } };
      atLink(bed, stage, "before", () => bed.store.set(RELATION, closed));
      await deliver(bed, stage);
      const relation = await bed.store.fields(RELATION);
      assert.deepEqual(
        [relation?.state, relation?.[stage]],
        ["CANCELLED", `${stage}${stage === "kitchen" ? "orders" : "s"}/1`],
      );
      assert.equal(await attemptOf(bed, stage), undefined);
    });

    for (const [what, unreadable] of [
      ["of a newer schema", { schema: 2 }],
      ["with a foreign state", { state: "BAKING" }],
    ] as const) {
      it(`never writes to a relation that is concurrently replaced by one ${what}`, async () => {
        const bed = await bedFor(stage);
        atLink(bed, stage, "before", () => bed.store.set(RELATION, unreadable));
        await deliver(bed, stage);
        const relation = await bed.store.fields(RELATION);
        assert.deepEqual({ ...relation, ...unreadable }, relation);
        assert.equal(relation?.[stage], undefined);
        assert.equal(await stateOf(bed, stage), "UNCERTAIN");
      });

      it(`leaves a relation ${what} unchanged, and creates nothing for its order`, async () => {
        const bed = await bedFor(stage);
        await bed.store.set(RELATION, { ...unreadable, kitchen: "kitchenorders/k" });
        const before = await bed.store.fields(RELATION);
        const { thrown, outcome } = await deliver(bed, stage);
        assert.deepEqual([thrown, outcome], [undefined, "quarantined"]);
        assert.deepEqual(await bed.store.fields(RELATION), before);
        assert.deepEqual([bed.food.created, bed.store.writes], [[], []]);
      });
    }

    for (const [what, unreadable] of [
      ["of a newer schema", { schema: 2, state: "SENDING" }],
      ["in a foreign state", { schema: 1, state: "COOKING" }],
      ["of wrong types", { schema: 1, state: 7, tries: "many" }],
    ] as const) {
      it(`leaves an attempt ${what} unchanged, and creates nothing for its order`, async () => {
        const bed = await bedFor(stage);
        await bed.store.set(path, unreadable);
        const { thrown, outcome } = await deliver(bed, stage);
        assert.deepEqual([thrown, outcome], [undefined, "quarantined"]);
        assert.deepEqual(await bed.store.fields(path), unreadable);
        assert.deepEqual(bed.food.created, []);
      });
    }

    it("never changes a link that an older scheduler sets concurrently, and logs the duplicate that it created", async () => {
      const bed = await bedFor(stage);
      atLink(bed, stage, "before", () => bed.store.set(RELATION, { [stage]: "theirs/1" }));
      bed.food.nextNames.push("ours/1");
      assert.equal((await deliver(bed, stage)).outcome, "blocked");
      assert.equal(await linkOf(bed, stage), "theirs/1");
      const { state, reason } = (await attemptOf(bed, stage)) as { state: string; reason: Fields };
      assert.equal(state, "UNCERTAIN");
      assert.match(String(reason.message), /ours\/1.*theirs\/1/);
      const duplicates = bed.lines.filter(({ level, fields }) => level === "error" && fields.name === "ours/1");
      assert.equal(duplicates.length, 1);
    });

    it("accepts that an older scheduler linked the same resource", async () => {
      const bed = await bedFor(stage);
      bed.food.nextNames.push("same/1");
      atLink(bed, stage, "before", () => bed.store.set(RELATION, { [stage]: "same/1" }));
      assert.equal((await deliver(bed, stage)).outcome, "advanced");
      assert.deepEqual([await linkOf(bed, stage), await stateOf(bed, stage)], ["same/1", undefined]);
    });

    it("creates nothing if an older scheduler's document has the link", async () => {
      const bed = await bedFor(stage);
      await bed.store.set(RELATION, {
        kitchen: "kitchens/9",
        ...(stage === "shipment" && { shipment: "shipments/4" }),
      });
      await deliver(bed, stage);
      assert.deepEqual(bed.food.created, []);
      assert.deepEqual(bed.food.updates, [{ name: ORDER, status: LED_TO[stage] }]);
    });

    it("yields to an operator who decides while the create is in progress", async () => {
      const bed = await bedFor(stage);
      bed.food.hooks.once(call, "after", async () => {
        const [found] = await bed.store.read(path);
        await bed.store.set(RELATION, { [stage]: "found/1" });
        await bed.store.commit([{ kind: "delete", path, version: found?.version ?? "" }]);
      });
      bed.food.nextNames.push("ours/1");
      assert.equal((await deliver(bed, stage)).outcome, "blocked");
      assert.equal(await linkOf(bed, stage), "found/1");
      assert.equal(await attemptOf(bed, stage), undefined);
      assert.ok(bed.lines.some(({ level, fields }) => level === "error" && fields.name === "ours/1"));
    });

    for (const [what, decided] of [
      ["dismissed", { state: "CLOSED", isDismissed: true }],
      ["retried", { state: "FAILED", tries: 0, nextTryAt: new Date(0), reason: null }],
    ] as const) {
      it(`leaves an attempt that an operator ${what} unchanged when a late reply rejects its create`, async () => {
        const bed = await bedFor(stage);
        bed.food.hooks.once(call, "before", async () => {
          await bed.store.set(path, { leaseUntil: null, ...decided });
          throw callError("INVALID_ARGUMENT", "no", true);
        });
        await deliver(bed, stage);
        const attempt = await attemptOf(bed, stage);
        assert.deepEqual({ ...attempt, ...decided }, attempt);
      });
    }

    it("calls the food service's methods with their own this", async () => {
      const bed = await bedFor(stage);
      const model = new FoodServiceModel({ clock: bed.clock, random: bed.ports.random });
      const { name, customerId } = model.placeOrder("krithik");
      const id = name.slice("orders/".length);
      if (stage === "shipment") {
        const kitchen = model.makeKitchenOrder(null).name;
        await bed.store.set(`relations/${id}`, { kitchen });
        await model.updateOrder(name, "PREPARATION");
        bed.clock.advance(YEAR_MS);
      }
      bed.ports.food = model;
      await runStage(stage, { order: name, status: STAGES[stage].takes }, HANDLERS[stage], bed.ports);
      assert.equal(await bed.store.field(`relations/${id}`, "customerId"), customerId);
    });
  });
}

describe("an order that another program advanced without a link", () => {
  it("is parked once, and unchanged at every later delivery", async () => {
    const bed = testBed();
    bed.food.orders.set(ORDER, { name: ORDER, customerId: "krithik", status: "PREPARATION" });
    await deliver(bed, "shipment");
    const first = await bed.store.fields(`attempts/kitchen:${ID}`);
    assert.deepEqual([first?.state, first?.tries, first?.order], ["PARKED", 0, ORDER]);
    assert.equal((first?.reason as Fields | undefined)?.code, "STRANDED");
    const writes = bed.store.writes.length;
    const { thrown, outcome } = await deliver(bed, "shipment");
    assert.deepEqual([thrown, outcome], [undefined, "skipped"]);
    assert.equal(bed.store.writes.length, writes);
    assert.deepEqual(bed.food.created, []);
  });

  it("does not steal an in-progress claim", async () => {
    const bed = await bedFor("kitchen");
    const answer = moment();
    bed.food.hooks.once("createKitchenOrder", "after", () => answer.came);
    const slow = deliver(bed, "kitchen");
    await until(() => bed.food.created.length === 1);
    bed.food.orders.set(ORDER, { name: ORDER, customerId: "krithik", status: "PREPARATION" });
    await deliver(bed, "shipment");
    assert.equal(await stateOf(bed, "kitchen"), "SENDING");
    answer.come();
    await slow;
    await expectLinkedOnce(bed, "kitchen");
  });
});

describe("what is said of a create", () => {
  const PATH = `attempts/kitchen:${ID}`;
  const REF = { name: ORDER, id: ID };
  const refuse = fails(callError("INVALID_ARGUMENT", "no", true));

  const send = (bed: TestBed) => sendToKitchen(REF, bed.ports);
  const reasonOf = async (work: ReturnType<typeof send>) => {
    const outcome = await work;
    return "reason" in outcome ? `${outcome.outcome}: ${outcome.reason}` : outcome.outcome;
  };

  it("is which try failed, why, and whether it was the last", async () => {
    const bed = await bedFor("kitchen", { CREATE_TRIES: 2 });
    bed.food.hooks.once("createKitchenOrder", "before", refuse);
    assert.equal(await reasonOf(send(bed)), "blocked: failed after try 1: INVALID_ARGUMENT no");
    const { nextTryAt, leaseUntil, tries } = (await bed.store.fields(PATH)) ?? {};
    const waitMs = (nextTryAt as Date).getTime() - bed.clock.now();
    assert.ok(waitMs >= 2_500 && waitMs <= 5_000, `${waitMs}`);
    assert.deepEqual([leaseUntil, tries], [null, 1]);
    assert.equal(await reasonOf(send(bed)), "skipped: backing off");
    bed.clock.advance(5_000);
    bed.food.hooks.once("createKitchenOrder", "before", refuse);
    assert.equal(await reasonOf(send(bed)), "blocked: parked after try 2: INVALID_ARGUMENT no");
    assert.equal((await bed.store.fields(PATH))?.nextTryAt, null);
    assert.equal(await reasonOf(send(bed)), "skipped: parked, an operator decides");
  });

  it("is that it was not sent, after more tries than there are now", async () => {
    const bed = await bedFor("kitchen", { CREATE_TRIES: 8 });
    for (let tries = 1; tries <= 3; tries++) {
      bed.food.hooks.once("createKitchenOrder", "before", refuse);
      await send(bed);
      bed.clock.advance(YEAR_MS);
    }
    bed.ports.settings = { ...bed.ports.settings, CREATE_TRIES: 2 };
    bed.food.hooks.once("createKitchenOrder", "before", fails(callError("UNAVAILABLE", "down", false)));
    assert.equal(await reasonOf(send(bed)), "blocked: not sent: UNAVAILABLE down");
    assert.equal(await bed.store.field(PATH, "state"), "FAILED");
  });

  it("is that its outcome is unknown, and why", async () => {
    const bed = await bedFor("kitchen");
    bed.food.hooks.once("createKitchenOrder", "after", fails(callError("UNAVAILABLE", "cut off", true)));
    assert.equal(await reasonOf(send(bed)), "blocked: uncertain: UNAVAILABLE cut off");
    const { nextTryAt, leaseUntil, reason } = (await bed.store.fields(PATH)) ?? {};
    assert.deepEqual({ nextTryAt, leaseUntil }, { nextTryAt: null, leaseUntil: null });
    assert.deepEqual(reason, { code: "UNAVAILABLE", message: "cut off" });
  });

  it("is that the lease of another process ended, with what that means", async () => {
    const bed = await bedFor("kitchen");
    bed.food.hooks.once("createKitchenOrder", "before", () => new Promise(() => {}));
    void send(bed);
    await until(() => bed.store.writes.some((write) => write.path === PATH));
    assert.equal(await reasonOf(send(bed)), "skipped: another process is sending");
    bed.clock.advance(LEASE_MS);
    assert.equal(await reasonOf(send(bed)), "blocked: uncertain: the lease expired before an answer was recorded");
    assert.equal(((await bed.store.field(PATH, "reason")) as Fields).code, "LEASE_EXPIRED");
  });

  it("is that it was not sent, if its lease would end before its deadline, and no try is counted", async () => {
    const bed = await bedFor("kitchen", { CREATE_LEASE_SECONDS: 20, CALL_DEADLINE_SECONDS: 10 });
    bed.store.hooks.once("commit", "after", () => bed.clock.advance(10_001));
    assert.match(await reasonOf(send(bed)), /^blocked: not sent: DEADLINE_EXCEEDED the kitchen create was not sent/);
    assert.equal((await bed.store.fields(PATH))?.tries, 0);
    assert.deepEqual(bed.food.created, []);
  });

  it("is sent with a deadline from that moment on, if the lease lasts exactly as long", async () => {
    const bed = await bedFor("kitchen", { CREATE_LEASE_SECONDS: 20, CALL_DEADLINE_SECONDS: 10 });
    bed.store.hooks.once("commit", "after", () => bed.clock.advance(10_000));
    const { createKitchenOrder } = bed.food;
    let deadline = 0;
    bed.food.createKitchenOrder = (options) => {
      deadline = options.deadline - bed.clock.now();
      return createKitchenOrder(options);
    };
    assert.equal((await send(bed)).outcome, "advanced");
    assert.equal(deadline, 10_000);
  });

  it("is that there is no slot, before anything is claimed", async () => {
    const bed = await bedFor("kitchen");
    const ports = { ...bed.ports, flow: { acquire: async () => undefined } };
    const outcome = await sendToKitchen(REF, ports);
    assert.deepEqual(outcome, { outcome: "skipped", reason: "the food service has as much to do as it sustains" });
    assert.deepEqual(bed.store.commits, []);
  });

  for (const [what, arrange] of [
    ["succeeded", () => {}],
    ["was refused", (bed: TestBed) => bed.food.hooks.once("createKitchenOrder", "before", refuse)],
    ["could not be claimed", (bed: TestBed) => bed.store.hooks.once("commit", "before", fails(new StoreError("down")))],
  ] as const) {
    it(`gives its slot back when it ${what}`, async () => {
      const bed = await bedFor("kitchen");
      arrange(bed);
      const { flow } = bed.ports;
      const calls: string[] = [];
      const ports = {
        ...bed.ports,
        flow: {
          acquire: async (kind: Parameters<typeof flow.acquire>[0]) => {
            calls.push(`acquire ${kind}`);
            const slot = await flow.acquire(kind);
            assert.ok(slot);
            return {
              run: <T>(method: string, call: () => Promise<T>) => {
                calls.push(method);
                return slot.run(method, call);
              },
              release: () => {
                calls.push("release");
                slot.release();
              },
            };
          },
        },
      };
      await sendToKitchen(REF, ports).catch(() => {});
      assert.deepEqual([calls[0], calls.at(-1)], ["acquire create", "release"]);
      assert.equal(calls.includes("create kitchen"), what !== "could not be claimed");
    });
  }

  it("is which order it was, and what was created, if the link can't be saved after five tries, ever later", async () => {
    const bed = await bedFor("kitchen");
    const sleeps: number[] = [];
    bed.ports.clock.sleep = async (milliseconds) => void sleeps.push(milliseconds);
    const down = fails(new StoreError("down"));
    atLink(bed, "kitchen", "before", down, down, down, down, down);
    await assert.rejects(send(bed), StoreError);
    assert.deepEqual(sleeps, [200, 400, 800, 1_600]);
    const line = bed.lines.find(({ level }) => level === "error");
    assert.equal(line?.message, "Created, but failed to save the link");
    const name = "kitchenorders/1";
    const reason = { code: "StoreError", message: "down" };
    assert.deepEqual(line?.fields, { component: "kitchen", order: ORDER, name, outcome: "not_linked", reason });
  });

  it("is tried again only when its wait is over", async () => {
    const bed = await bedFor("kitchen");
    let isWaiting = false;
    bed.ports.clock.sleep = async () => {
      isWaiting = true;
      for (let turns = 0; turns < 50; turns++) await turn();
      isWaiting = false;
    };
    atLink(bed, "kitchen", "before", fails(new StoreError("down")), () => assert.ok(!isWaiting, "it still waits"));
    assert.equal((await send(bed)).outcome, "advanced");
  });

  it("is that its relation has no room for a link, before anything is claimed", async () => {
    const bed = await bedFor("kitchen");
    await bed.store.set(RELATION, { note: "x".repeat(1_048_000) });
    assert.equal(
      await reasonOf(send(bed)),
      "blocked: the relation is too large for a link; an operator must resolve the kitchen attempt",
    );
    assert.equal(((await bed.store.field(PATH, "reason")) as Fields).code, "RELATION_TOO_LARGE");
    assert.deepEqual(bed.food.created, []);
  });

  it("is that its name was linked to an earlier order of the same name", async () => {
    const bed = await bedFor("kitchen");
    await bed.store.memory.commit([linkEntry(ORDER, "kitchen", "kitchenorders/1", 0)]);
    const message = "created kitchenorders/1: kitchenorders/1 was linked to an earlier order of this name";
    assert.equal(await reasonOf(send(bed)), `blocked: uncertain: BAD_REPLY ${message}`);
    assert.equal(await bed.store.field(RELATION, "kitchen"), undefined);
  });

  it("is tried again at once after a conflict, and the link is saved", async () => {
    const bed = await bedFor("kitchen");
    bed.ports.clock.sleep = () => assert.fail("a conflict needs no wait");
    atLink(bed, "kitchen", "before", () => bed.store.set(RELATION, { note: "x" }));
    assert.equal((await send(bed)).outcome, "advanced");
    assert.equal(await bed.store.field(RELATION, "kitchen"), "kitchenorders/1");
  });

  it("is what was created for nothing, if an operator decided in the meantime", async () => {
    const bed = await bedFor("kitchen");
    atLink(bed, "kitchen", "before", () => bed.store.set(PATH, { id: "another claim" }));
    const expected =
      "blocked: kitchenorders/1 was created, but another process settled the kitchen attempt in the meantime";
    assert.equal(await reasonOf(send(bed)), expected);
    const line = bed.lines.find(({ level }) => level === "error");
    assert.equal(line?.message, "Created, but not linked");
    assert.deepEqual(line?.fields, {
      component: "kitchen",
      order: ORDER,
      name: "kitchenorders/1",
      outcome: "not_linked",
    });
  });

  it("is the beginning of a name that can't be one", async () => {
    const bed = await bedFor("kitchen");
    bed.food.nextNames.push(`orders/${"x".repeat(500)}`);
    const reason = await reasonOf(send(bed));
    assert.match(reason, /^blocked: uncertain: BAD_REPLY /);
    assert.match(reason, /"orders\/x{93}"$/);
  });

  it("is nothing if the link was made in the meantime, and its claim is given back", async () => {
    const bed = await bedFor("kitchen");
    bed.food.hooks.once("ready", "after", () =>
      bed.store.set(RELATION, { schema: 1, state: "PREPARATION", kitchen: "kitchenorders/0" }),
    );
    assert.equal(await reasonOf(send(bed)), "skipped: already linked concurrently");
    assert.equal(await bed.store.fields(PATH), undefined);
    assert.deepEqual(bed.food.created, []);
  });

  it("is nothing if an expired claim stayed behind after its link was made", async () => {
    const bed = await bedFor("kitchen");
    const claim = {
      schema: 1,
      order: ORDER,
      stage: "kitchen",
      id: "a",
      state: "SENDING",
      policy: "park",
      tries: 1,
      leaseUntil: new Date(0),
    };
    await bed.store.set(PATH, claim);
    bed.food.hooks.once("ready", "after", () =>
      bed.store.set(RELATION, { schema: 1, state: "PREPARATION", kitchen: "kitchenorders/0" }),
    );
    assert.equal(await reasonOf(send(bed)), "skipped: already linked concurrently");
    assert.equal(await bed.store.field(PATH, "state"), "SENDING", "the sweep judges it");
  });

  it("is that another process has the claim, if two take an attempt over at the same moment", async () => {
    for (const fields of [{ state: "FAILED" }, { state: "SENDING", leaseUntil: new Date(0) }]) {
      const bed = await bedFor("kitchen");
      await bed.store.set(PATH, {
        schema: 1,
        order: ORDER,
        stage: "kitchen",
        id: "a",
        policy: "park",
        tries: 1,
        ...fields,
      });
      bed.store.hooks.once("commit", "before", fails(new ConflictError("there is an attempt")));
      bed.store.hooks.once("commit", "before", () => bed.store.set(PATH, { id: "b" }));
      assert.equal(await reasonOf(send(bed)), "skipped: claimed by another process");
    }
  });

  it("opens a closed attempt again, and clears what closed it", async () => {
    const bed = await bedFor("kitchen");
    const looks = { since: new Date(0), last: new Date(0), looks: 3 };
    const closed = { state: "CLOSED", expireAt: new Date(1), missing: looks, unreadable: looks };
    await bed.store.set(PATH, {
      schema: 1,
      order: ORDER,
      stage: "kitchen",
      id: "a",
      policy: "park",
      tries: 2,
      ...closed,
    });
    bed.food.hooks.once("createKitchenOrder", "before", refuse);
    assert.match(await reasonOf(send(bed)), /^blocked: parked after try 3/);
    const { expireAt, missing, unreadable, isDismissed } = (await bed.store.fields(PATH)) ?? {};
    assert.deepEqual([expireAt, missing, unreadable, isDismissed], [null, null, null, null]);
  });
});
