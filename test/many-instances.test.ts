/** Many instances in front of a small food service, each with events and a limit of its own, over real gRPC. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { GrpcFoodService } from "../functions/src/adapters/firebase/grpc-food-service.js";
import { systemClock } from "../functions/src/adapters/firebase/system-clock.js";
import { isCallError, NoSlotError } from "../functions/src/domain/errors.js";
import { AdaptiveFlowControl, withFlowControl } from "../functions/src/flow-control.js";
import {
  type KitchenOrder,
  KitchenServiceService,
  type Order,
  OrderServiceService,
} from "../functions/src/generated/food/v1/food.js";
import { TEST_SETTINGS } from "../functions/src/testing/test-bed.js";
import { listen } from "../services/server.js";

/** As many as a function has at most, with as many events as one handles at most. */
const INSTANCES = 20;
const EVENTS = 80;

/** How many calls the service works on at a time, and for how long each; others queue. It sustains 100 calls a second. */
const WORKERS = 10;
const CALL_MS = 100;

const DEADLINE_SECONDS = 10;

/** Without flow control, the last of all creates would be answered so late. */
const UNBOUNDED_MS = (INSTANCES * EVENTS * CALL_MS) / WORKERS;

describe("20 instances with 80 events each", function () {
  this.timeout(300_000);
  const cleanUp: (() => unknown)[] = [];
  afterEach(() => {
    for (const step of cleanUp.splice(0).reverse()) step();
  });

  /** Starts the service; the number of creates that it carried out. */
  async function startSmallService(): Promise<{ address: string; created: () => number }> {
    let created = 0;
    let busy = 0;
    const queue: (() => void)[] = [];
    const inTurn = async (answer: () => void) => {
      if (busy === WORKERS) await new Promise<void>((resolve) => queue.push(resolve));
      else busy++;
      await sleep(CALL_MS);
      answer();
      const next = queue.shift();
      if (next) next();
      else busy--;
    };
    const server = new Server({ "grpc.enable_channelz": 0 });
    server.addService(OrderServiceService, {
      getOrder: ({ request }: ServerUnaryCall<{ name: string }, Order>, reply: sendUnaryData<Order>) =>
        void inTurn(() =>
          reply(null, { name: request.name, createTime: "", updateTime: "", customerId: "", status: 1 }),
        ),
      listOrders: () => undefined,
      updateOrder: () => undefined,
      createOrder: () => undefined,
    });
    server.addService(KitchenServiceService, {
      createKitchenOrder: (_: unknown, reply: sendUnaryData<KitchenOrder>) =>
        void inTurn(() =>
          reply(null, { name: `kitchenorders/${++created}`, createTime: "", updateTime: "", status: 1 }),
        ),
      getKitchenOrder: () => undefined,
    });
    const address = await listen(server, "localhost:0", ServerCredentials.createInsecure());
    cleanUp.push(() => server.forceShutdown());
    return { address, created: () => created };
  }

  /** The outcome of one event: it looks up its order and creates, as a stage does. */
  type Event = () => Promise<"created" | "left to the poll" | "uncertain">;

  function startInstance(address: string): Event {
    const settings = {
      ...TEST_SETTINGS,
      FOOD_SERVICE_ADDRESS: address,
      FOOD_SERVICE_SECURITY: "plaintext",
      CALL_DEADLINE_SECONDS: DEADLINE_SECONDS,
    } as const;
    const service = new GrpcFoodService(settings, systemClock);
    cleanUp.push(() => service.close());
    const flow = new AdaptiveFlowControl(systemClock, settings);
    const food = withFlowControl(service, flow);
    return async () => {
      try {
        await food.getOrder("orders/1");
        const slot = await flow.acquire("create");
        if (!slot) return "left to the poll";
        const options = { idempotencyKey: "k", deadline: Date.now() + DEADLINE_SECONDS * 1_000 };
        await slot.run("create kitchen", () => food.createKitchenOrder(options));
        return "created";
      } catch (error) {
        if (error instanceof NoSlotError || (isCallError(error) && !error.sent)) return "left to the poll";
        return "uncertain";
      }
    };
  }

  it("leave no create uncertain with a service that sustains 100 calls a second, and use that rate", async () => {
    assert.ok(UNBOUNDED_MS > 1.5 * DEADLINE_SECONDS * 1_000);
    const service = await startSmallService();
    const instances = Array.from({ length: INSTANCES }, () => startInstance(service.address));
    const started = performance.now();
    const outcomes = await Promise.all(instances.flatMap((event) => Array.from({ length: EVENTS }, () => event())));
    const seconds = (performance.now() - started) / 1_000;
    const count = (outcome: Awaited<ReturnType<Event>>) => outcomes.filter((other) => other === outcome).length;
    assert.equal(count("uncertain"), 0);
    assert.equal(count("created"), service.created());
    assert.ok(count("created") > 200, `${count("created")} creates in ${seconds} s`);
    console.log(`      ${count("created")} creates in ${seconds.toFixed(1)} s`);
  });
});
