/** An embedded run in front of a food service that sustains little: nothing becomes uncertain, and nothing is left unused. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Embedded, startEmbedded } from "../local/embedded.js";
import { inMemory } from "../local/storage.js";
import { type FoodServiceOptions, type RunningFoodService, startFoodService } from "../services/food-service/server.js";
import { type InProcess, startInProcess } from "../services/users/in-process.js";
import { NO_LOG } from "../services/users/testing.js";
import { RunningTime } from "./running-time.js";

const DEADLINE_SECONDS = 2;

/**
 * Of 150 creates. The first rejection of all may strike a create, and on a busy machine, calls of one second arrive in the next: then up to
 * seven were seen. Without pacing, 34 were.
 */
const MAX_UNCERTAIN = 15;

describe("an embedded run", function () {
  this.timeout(120_000);
  let folder: string;
  let food: RunningFoodService;
  let users: InProcess | undefined;
  let run: Embedded | undefined;
  /** Calls that the food service has begun, and how many of them were lists. */
  let [calls, lists] = [0, 0];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "diet-overload-"));
    [calls, lists] = [0, 0];
  });
  afterEach(async () => {
    await run?.stop();
    await users?.stop();
    await food?.stop();
    rmSync(folder, { recursive: true });
  });

  async function start(orders: number, load: Partial<FoodServiceOptions>): Promise<Embedded> {
    food = await startFoodService({
      address: "localhost:0",
      certificates: folder,
      onCall: (method) => {
        calls++;
        if (method === "ListOrders") lists++;
      },
      ...load,
    });
    users = await startInProcess(() => NO_LOG);
    for (let order = 0; order < orders; order++) food.model.placeOrder("krithik");
    const params = {
      USERS_ADDRESS: users.orchestrator1.address,
      FOOD_SERVICE_ADDRESS: food.address,
      FOOD_SERVICE_CA: food.certificate,
      CALL_DEADLINE_SECONDS: String(DEADLINE_SECONDS),
    };
    run = await startEmbedded(folder, params, inMemory);
    return run;
  }

  /** Polls each second until every order has its kitchen order, or for so long; the attempts that are then left. */
  async function pollUntil(embedded: Embedded, orders: number, seconds: number) {
    const poll = embedded.scheduled.find(({ name }) => name === "pollOrders") ?? assert.fail("no poll");
    const until = Date.now() + seconds * 1_000;
    while (Date.now() < until && food.model.truth().kitchenOrders.length < orders) {
      await Promise.all([embedded.fire(poll, new Date(), AbortSignal.timeout(60_000)), sleep(1_000)]);
    }
    return (await embedded.documents("attempts")).map(({ fields }) => fields.state);
  }

  it("uses what a service with 5 streams sustains, and no create becomes uncertain", async () => {
    const callTime = 500;
    const embedded = await start(200, { callTime, maxStreams: 5 });
    const time = new RunningTime();
    const states = await pollUntil(embedded, 200, 20);
    const seconds = time.stop() / 1_000;
    assert.deepEqual(
      states.filter((state) => state !== "SENDING"),
      [],
    );
    const { kitchenOrders } = food.model.truth();
    assert.ok(kitchenOrders.length > 20, `${kitchenOrders.length} kitchen orders`);
    assert.equal(new Set(kitchenOrders.map(({ idempotencyKey }) => idempotencyKey)).size, kitchenOrders.length);
    const sustained = (5 * 1_000) / callTime;
    assert.ok(calls / seconds > 0.7 * sustained, `${calls / seconds} of ${sustained} calls a second`);
  });

  it("stays below the rate at which a service rejects calls", async () => {
    const orders = 150;
    const embedded = await start(orders, { rateLimit: 50 });
    const states = await pollUntil(embedded, orders - MAX_UNCERTAIN, 120);
    const uncertain = states.filter((state) => state === "UNCERTAIN").length;
    assert.ok(uncertain <= MAX_UNCERTAIN, `${uncertain} creates are uncertain`);
    assert.ok(food.model.truth().kitchenOrders.length >= orders - MAX_UNCERTAIN);
  });

  it("leaves orders without a slot unclaimed, without errors", async () => {
    const embedded = await start(100, { callTime: 1_500, maxStreams: 2 });
    const states = await pollUntil(embedded, 100, 15);
    assert.deepEqual(
      states.filter((state) => state !== "SENDING"),
      [],
    );
    assert.ok(states.length <= 4, `${states.length} claims`);
    assert.ok(calls > lists);
  });
});
