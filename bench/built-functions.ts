/** Carries orders with built functions: ours, or those written like Google's guides. */
import type { OutgoingHttpHeaders } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { FunctionName } from "../functions/src/adapters/firebase/function-options.js";
import { seededRandomness } from "../functions/src/adapters/memory/random.js";
import { ACTIVE_STATUSES, type ActiveStatus } from "../functions/src/domain/order-lifecycle.js";
import { RELATIONS } from "../functions/src/relations/relation.js";
import { Bridge, type FunctionRunner } from "../harness/event-bridge.js";
import type { FoodServiceProcess } from "../harness/food-service-process.js";
import type { FunctionInstance } from "../harness/function-instance.js";
import { functionEnvironment } from "../harness/function-instance.js";
import { type Usage, usageOf } from "../harness/process-usage.js";
import { deployed } from "./baselines.js";
import type { Carrier, StartCarrier } from "./carrier.js";
import { BenchError } from "./measure.js";
import { clientOf } from "./orders.js";
import type { World } from "./world.js";

/** The maximum time in which this many orders must be delivered. */
const CARRY_TIMEOUT_MS = 120_000;

/** The wait before a failed event is redelivered. */
const RETRY_MS = 500;

const FUNCTIONS = ["sendToKitchen", "dispatchShipment", "completeOrder", "onRelationWritten", "pollOrders"] as const;

/** The functions of this build as a carrier: the emulators deliver their events, and a poll runs whenever orders wait for one. */
export function functionsOf(build: string): StartCarrier {
  return (world, project, food) => startFunctions(world, project, food, build);
}

async function startFunctions(
  world: World,
  project: string,
  food: FoodServiceProcess,
  build: string,
): Promise<Carrier> {
  const emulators = await world.emulators();
  const env = functionEnvironment(project, emulators, food, { POLL_PAGE_SIZE: "500" });
  const functions = await BuiltFunctions.start(world, build, env);
  const bridge = new Bridge({
    functions,
    project,
    random: seededRandomness(1),
    counts: { add: () => {} },
    isTroubled: () => false,
  });
  await bridge.subscribe(emulators.pubsub);
  await emulators.documentEvents.onWritten(emulators.firestore, project, `${RELATIONS}/{id}`, (headers, body) =>
    functions.forwardUntilTaken("onRelationWritten", headers, body),
  );
  const client = clientOf(food);
  /** Resolves when no order has this status any more, and nothing is in progress. */
  const untilNoneIs = async (status: ActiveStatus, deadline: number) => {
    for (;;) {
      const { orders } = await client.listOrders({ status, pageSize: 1000, pageToken: "" });
      if (orders.length === 0 && functions.isIdle && bridge.isIdle) return;
      if (Date.now() > deadline) throw new BenchError(`${orders.length} orders never left ${status}`);
      await sleep(20);
    }
  };
  return {
    own: [...FUNCTIONS],
    usage: () => ({
      ...functions.usage(),
      firestore: usageOf(emulators.groups.firestore),
      pubsub: usageOf(emulators.groups.pubsub),
    }),
    async carry() {
      const deadline = Date.now() + CARRY_TIMEOUT_MS;
      for (const status of ACTIVE_STATUSES) {
        await bridge.tick("pollOrders");
        await untilNoneIs(status, deadline);
      }
    },
    async stop() {
      world.onLine(`events of ${project}: ${JSON.stringify([...functions.received])}`);
      client.close();
      bridge.stop();
      await functions.stop();
    },
  };
}

/** The functions of one build, one instance each. */
class BuiltFunctions implements FunctionRunner {
  readonly deliveries = [];
  readonly instances = new Map<FunctionName, FunctionInstance>();
  /** How many events each function received, including repeated ones. */
  readonly received = new Map<FunctionName, number>();
  private inProgress = 0;
  private stopped = false;

  static async start(world: World, build: string, env: Record<string, string>): Promise<BuiltFunctions> {
    const functions = new BuiltFunctions();
    for (const target of FUNCTIONS) {
      functions.instances.set(target, await world.startInstance({ ...deployed(target, env), build }));
    }
    return functions;
  }

  get isIdle(): boolean {
    return this.inProgress === 0;
  }

  deliver(name: FunctionName, _orders: readonly string[], body: object): Promise<number | undefined> {
    return this.send(name, (instance) => instance.send(body));
  }

  /** Delivers a document event until it succeeds, such as when two deliveries of one order meet. */
  async forwardUntilTaken(name: FunctionName, headers: OutgoingHttpHeaders, body: Buffer): Promise<void> {
    this.inProgress++;
    for (let status = 0; !this.stopped && (status < 200 || status >= 300); ) {
      if (status > 0) await sleep(RETRY_MS);
      status = await this.send(name, (instance) => instance.forward(headers, body));
    }
    this.inProgress--;
  }

  usage(): Record<string, Usage> {
    return Object.fromEntries([...this.instances].map(([name, instance]) => [name, instance.usage()]));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all([...this.instances.values()].map((instance) => instance.stop()));
  }

  /** The status of the response, 500 if the connection broke. */
  private async send(name: FunctionName, send: (instance: FunctionInstance) => Promise<number>): Promise<number> {
    const instance = this.instances.get(name);
    if (!instance) throw new BenchError(`no instance of ${name} runs`);
    this.inProgress++;
    this.received.set(name, (this.received.get(name) ?? 0) + 1);
    try {
      return await send(instance).catch(() => 500);
    } finally {
      this.inProgress--;
    }
  }
}
