/** Processes of functions in the Emulator Suite that are killed, above all while they load: the run goes on. */
import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RELATIONS } from "../functions/src/relations/relation.js";
import { type System, startSystem } from "../local/system.js";
import { connectionTo } from "../services/food-service/connection-options.js";
import { placeOrders } from "../services/food-service/place-orders.js";
import { until } from "./program.js";

const ORDERS = 5;

/** How many processes are killed: the first ones that are seen. */
const MAX_KILLS = 12;

/** On a busy machine, a process may handle its events before it is seen. More than this is more than one start of each function. */
const MIN_KILLS = 6;

describe("functions whose processes are killed while they load", function () {
  this.timeout(900_000);
  let system: System | undefined;
  afterEach(() => system?.stop());

  /** The processes that run functions of this system, by what they work in. */
  function workers(directory: string): number[] {
    const functions = join(directory, "functions");
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => {
        try {
          return readlinkSync(`/proc/${pid}/cwd`) === functions;
        } catch {
          return false;
        }
      })
      .map(Number);
  }

  it("do not prevent an order's delivery", async function () {
    if (process.platform !== "linux") return this.skip();
    system = await startSystem({
      portsFrom: "auto",
      embedded: false,
      foodService: { simulated: { speed: 1_000, rejected: 0, cancelled: 0 } },
      intervals: { pollOrders: 1 },
    });
    const { directory, foodServer } = system;
    const { address, certificate } = foodServer ?? assert.fail();
    for await (const _ of placeOrders({
      connection: connectionTo(address, certificate),
      customer: "krithik",
      count: ORDERS,
    }));
    const killed = new Set<number>();
    const stopping = new AbortController();
    const killing = (async () => {
      while (killed.size < MAX_KILLS && !stopping.signal.aborted) {
        for (const pid of workers(directory)) {
          if (killed.has(pid) || killed.size === MAX_KILLS) continue;
          process.kill(pid, "SIGKILL");
          killed.add(pid);
        }
        await sleep(20);
      }
    })();
    try {
      system.scheduler.start();
      const delivered = async () =>
        ((await system?.documents(RELATIONS)) ?? []).filter(({ fields }) => fields.state === "DELIVERED").length;
      await until("every order is delivered", async () => (await delivered()) === ORDERS, 300_000);
    } finally {
      stopping.abort();
      await killing;
    }
    assert.ok(killed.size >= MIN_KILLS, `${killed.size} processes were killed`);
    const { kitchenOrders, shipments } = foodServer?.truth() ?? assert.fail();
    assert.deepEqual([kitchenOrders.length, shipments.length], [ORDERS, ORDERS]);
  });
});
