/** How often an embedded run calls a food service whose calls fail. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { relationPath } from "../functions/src/relations/relation.js";
import { type Embedded, startEmbedded } from "../local/embedded.js";
import { SqliteStore } from "../local/sqlite-store.js";
import { inFile } from "../local/storage.js";
import { type RunningFoodService, startFoodService } from "../services/food-service/server.js";
import { type InProcess, startInProcess } from "../services/users/in-process.js";
import { lineLog } from "../services/users/log.js";
import { sleepRunning } from "./running-time.js";

const ORDERS = 300;
const TICKS = 5;

/** Longer than gRPC's own retries take. */
const QUIET_MS = 1_500;
/** How often to look for the first call of a tick, which comes late on a busy machine. */
const MAX_LOOKS = 20;

describe("an embedded run against a food service whose GetKitchenOrder is UNAVAILABLE", function () {
  this.timeout(180_000);
  let folder: string;
  let food: RunningFoodService | undefined;
  let users: InProcess | undefined;
  let run: Embedded | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "diet-storm-"));
  });
  afterEach(async () => {
    await run?.stop();
    await users?.stop();
    await food?.stop();
    rmSync(folder, { recursive: true });
  });

  it("sends at most one call per order and tick, plus the few retries that gRPC makes before it throttles them", async () => {
    let calls = 0;
    food = await startFoodService({
      address: "localhost:0",
      certificates: folder,
      unavailable: ["GetKitchenOrder"],
      onCall: (method) => {
        if (method === "GetKitchenOrder") calls++;
      },
    });
    users = await startInProcess((server) => lineLog(server, () => {}));
    const store = new SqliteStore(join(folder, "documents.db"));
    for (let number = 0; number < ORDERS; number++) {
      const { name } = food.model.placeOrder("krithik");
      food.model.changeOrder(name, "PREPARATION", ["status"]);
      const fields = { schema: 1, kitchen: `kitchenorders/${number}`, state: "PREPARATION", times: {} };
      await store.commit([{ kind: "create", path: relationPath(name.slice("orders/".length)), fields }]);
    }
    store.close();
    const params = {
      USERS_ADDRESS: users.orchestrator1.address,
      FOOD_SERVICE_ADDRESS: food.address,
      FOOD_SERVICE_CA: food.certificate,
      POLL_PASSES: "1",
    };
    run = await startEmbedded(folder, params, inFile(join(folder, "documents.db")));
    const poll = run.scheduled.find(({ name }) => name === "pollOrders") ?? assert.fail("no poll");

    for (let tick = 1; tick <= TICKS; tick++) {
      const before = calls;
      await run.fire(poll, new Date(), AbortSignal.timeout(60_000));
      // Until calls have come, and then no more; flow control may leave orders to the next tick.
      let seen: number;
      let looks = 0;
      do {
        seen = calls;
        await sleepRunning(QUIET_MS);
        looks++;
      } while (seen !== calls || (calls === before && looks < MAX_LOOKS));
      assert.ok(calls > before, `no call in tick ${tick}`);
    }
    // In total, since on a busy machine a call of one tick may come in the next.
    assert.ok(calls <= TICKS * ORDERS * 1.1, `${calls} calls for ${ORDERS} orders in ${TICKS} ticks`);
  });
});
