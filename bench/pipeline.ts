/**
 * What an order costs from NEW to DELIVERED: through the built functions, as a durable workflow on Restate, and with nothing
 * but the calls. Kitchen and drones are as good as instant, so that no side waits or looks twice.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { FunctionName } from "../functions/src/adapters/firebase/function-options.js";
import { seededRandomness } from "../functions/src/adapters/memory/random.js";
import { ACTIVE_STATUSES } from "../functions/src/domain/order-lifecycle.js";
import { RELATIONS } from "../functions/src/relations/relation.js";
import { subscribe } from "../harness/emulators/standalone.js";
import { Bridge, SHARES, SUBSCRIBERS } from "../harness/event-bridge.js";
import type { FoodProcess } from "../harness/food-service-child.js";
import type { FunctionInstance } from "../harness/function-instance.js";
import { type Usage, usageOf } from "../harness/process-usage.js";
import { TYPESCRIPT } from "../services/users/chain.js";
import { DEPLOYED } from "./baselines.js";
import type { Bench, Figures, Given } from "./bench.js";
import { alternate, BenchError, expectEqual, ratio, summary } from "./measure.js";
import { clientOf, eachOf, place } from "./orders.js";
import { installRestate, type RestateMode, startRestate } from "./peers/restate.js";
import { environment, type World } from "./world.js";

const SIZES = {
  full: { orders: 300, warmUp: 300 },
  tiny: { orders: 10, warmUp: 3 },
};

/** So many orders are on their way at once, at most: a message that waits too long would be pushed again. */
const AT_ONCE = 150;

/** Until when so many orders must have been delivered, in milliseconds. */
const PATIENCE = 60_000;

const BARE = fileURLToPath(new URL("peers/bare.ts", import.meta.url));

const FUNCTIONS = ["sendToKitchen", "dispatchShipment", "completeOrder", "onRelationWritten", "pollOrders"] as const;

const PEERS = ["requestResponse", "bidirectional", "bare"] as const;
type Side = "ours" | (typeof PEERS)[number];

export const pipeline: Bench = {
  name: "pipeline",
  question: "orders a second, and CPU an order by process, from NEW to DELIVERED; beside Restate and bare calls",
  targets: { oursOverRequestResponse: { atMost: 1 } },
  measure,
};

/** One side carrying orders. */
interface Carrier {
  /** Resolves when all these orders, which were placed just now, are delivered. */
  carry(orders: string[]): Promise<void>;
  /** What each of its processes has used so far, the side's own first. */
  usage(): Record<string, Usage>;
  /** Those whose cost is the side's own, not that of a store or a bus. */
  own: string[];
  stop(): Promise<void>;
}

interface Carried {
  perSecond: number;
  /** Milliseconds an order, by process. */
  cpu: Record<string, number>;
  ownCpu: number;
  /** MiB by process. */
  memory: Record<string, number>;
}

async function measure({ world, runs, tiny, say }: Given): Promise<Figures> {
  const { orders, warmUp } = SIZES[tiny ? "tiny" : "full"];
  // Nobody installs the peer for a proof that the bench works.
  const sides: Side[] = tiny ? ["ours", "bare"] : ["ours", ...PEERS];
  if (!tiny) await installRestate(say);
  let number = 0;
  const results = await alternate(sides, runs, async (side): Promise<Carried> => {
    const name = `bench-pipeline-${++number}`;
    const food = await world.foodService(name, ["--speed", "1000000"]);
    const carrier = await CARRIERS[side](world, name, food);
    const carry = async (count: number) => {
      for (let left = count; left > 0; left -= AT_ONCE) {
        await carrier.carry(await place(food, Math.min(left, AT_ONCE)));
      }
    };
    await carry(warmUp);
    const before = carrier.usage();
    const began = performance.now();
    await carry(orders);
    const seconds = (performance.now() - began) / 1000;
    const after = carrier.usage();
    await carrier.stop();
    await food.kill();
    expectDelivered(food, warmUp + orders, side);
    const parts = Object.entries(after);
    const cpu = Object.fromEntries(parts.map(([part, { cpu }]) => [part, (cpu - (before[part]?.cpu ?? 0)) / orders]));
    const memory = Object.fromEntries(parts.map(([part, { memory }]) => [part, memory]));
    const ownCpu = carrier.own.reduce((sum, part) => sum + (cpu[part] ?? 0), 0);
    say(
      `${side}: ${(orders / seconds).toFixed(0)} orders/s, own CPU ${ownCpu.toFixed(2)} ms an order, ${JSON.stringify(cpu)}`,
    );
    return { perSecond: orders / seconds, cpu, ownCpu, memory };
  });

  const figures: Figures = {};
  for (const side of sides) {
    const all = results[side];
    figures[`${side}PerSecond`] = summary(all.map(({ perSecond }) => perSecond));
    figures[`${side}CpuMs`] = summary(all.map(({ ownCpu }) => ownCpu));
    for (const part of Object.keys(all[0]?.cpu ?? {})) {
      figures[`${side}_${part}CpuMs`] = summary(all.map(({ cpu }) => cpu[part] ?? Number.NaN));
      figures[`${side}_${part}MiB`] = summary(all.map(({ memory }) => memory[part] ?? Number.NaN));
    }
    if (side === "ours") continue;
    const name = `oursOver${side[0]?.toUpperCase()}${side.slice(1)}`;
    figures[name] = ratio(
      results.ours.map(({ ownCpu }) => ownCpu),
      all.map(({ ownCpu }) => ownCpu),
    );
  }
  return figures;
}

function expectDelivered(food: FoodProcess, count: number, side: Side): void {
  const { orders, kitchenOrders, shipments } = food.truth();
  expectEqual(orders.filter(({ status }) => status === "DELIVERED").length, count, `orders that ${side} delivered`);
  expectEqual(kitchenOrders.length, count, `kitchen orders of ${side}`);
  expectEqual(shipments.length, count, `shipments of ${side}`);
}

const CARRIERS: Record<Side, (world: World, name: string, food: FoodProcess) => Promise<Carrier>> = {
  ours: startFunctions,
  requestResponse: (world, name, food) => startPeer(world, name, food, "request-response"),
  bidirectional: (world, name, food) => startPeer(world, name, food, "bidirectional"),
  bare: startBare,
};

async function startFunctions(world: World, project: string, food: FoodProcess): Promise<Carrier> {
  const emulators = await world.emulators();
  const { firestore, pubsub } = emulators;
  const env = environment(project, emulators, food, { POLL_PAGE_SIZE: "500" });
  const instances = new Map<FunctionName, FunctionInstance>();
  for (const target of FUNCTIONS) {
    const takes = target === "pollOrders" ? "requests" : "events";
    instances.set(target, await world.startInstance({ build: DEPLOYED, target, takes, env }));
  }
  let underWay = 0;
  let stopped = false;
  const delivered = new Map<FunctionName, number>();
  /** Whether it was taken; what was not comes again, such as the one that loses where two deliveries of one order meet. */
  const isTaken = async (
    name: FunctionName,
    send: (instance: FunctionInstance) => Promise<number>,
  ): Promise<boolean> => {
    const instance = instances.get(name);
    underWay++;
    delivered.set(name, (delivered.get(name) ?? 0) + 1);
    try {
      return instance !== undefined && (await send(instance)) < 300;
    } catch {
      return false;
    } finally {
      underWay--;
    }
  };
  const fleet = {
    deliveries: [],
    get isIdle() {
      return underWay === 0;
    },
    deliver: async (name: FunctionName, _order: string | undefined, body: object) =>
      (await isTaken(name, (instance) => instance.send(body))) ? 200 : 500,
  };
  const bridge = new Bridge({
    fleet,
    project,
    random: seededRandomness(1),
    counts: { add: () => {} },
    isTroubled: () => false,
  });
  const port = await bridge.listen();
  for (const [name, topic] of Object.entries(SUBSCRIBERS)) {
    const shares = Array.from({ length: SHARES }, (_, share) => `http://127.0.0.1:${port}/${name}/${share}`);
    await subscribe(pubsub, project, topic, shares);
  }
  await emulators.documentEvents.onWritten(firestore, project, `${RELATIONS}/{id}`, async (headers, body) => {
    underWay++;
    while (!stopped && !(await isTaken("onRelationWritten", (instance) => instance.forward(headers, body)))) {
      await sleep(500);
    }
    underWay--;
  });
  const client = clientOf(food);
  return {
    own: [...FUNCTIONS],
    usage: () => ({
      ...Object.fromEntries([...instances].map(([name, instance]) => [name, instance.usage()])),
      firestore: usageOf(emulators.groups.firestore),
      pubsub: usageOf(emulators.groups.pubsub),
      ...(food.group && { food: usageOf(food.group) }),
    }),
    async carry() {
      const deadline = Date.now() + PATIENCE;
      for (const status of ACTIVE_STATUSES) {
        await bridge.tick("pollOrders");
        for (;;) {
          const { orders } = await client.listOrders({ status, pageSize: 1000, pageToken: "" });
          if (orders.length === 0 && bridge.isIdle) break;
          if (Date.now() > deadline) throw new BenchError(`${orders.length} orders never left ${status}`);
          await sleep(20);
        }
      }
    },
    async stop() {
      world.onLine(`events of ${project}: ${JSON.stringify([...delivered])}`);
      stopped = true;
      client.close();
      bridge.stop();
      await Promise.all([...instances.values()].map((instance) => instance.stop()));
    },
  };
}

async function startPeer(world: World, name: string, food: FoodProcess, mode: RestateMode): Promise<Carrier> {
  const env = { FOOD_SERVICE_ADDRESS: food.address, FOOD_SERVICE_CA: food.certificate };
  const { groups, carry, stop } = await startRestate(world, join(world.directory, name), mode, env);
  return {
    own: ["server", "service"],
    usage: () => ({
      server: usageOf(groups.server),
      service: usageOf(groups.service),
      ...(food.group && { food: usageOf(food.group) }),
    }),
    carry: (orders) => eachOf(orders, carry),
    stop,
  };
}

async function startBare(world: World, _name: string, food: FoodProcess): Promise<Carrier> {
  const child = fork(BARE, {
    execArgv: TYPESCRIPT,
    env: { ...process.env, FOOD_SERVICE_ADDRESS: food.address, FOOD_SERVICE_CA: food.certificate },
    detached: true,
  });
  world.onEnd(() => child.kill("SIGKILL"));
  const waiting = new Map<string, { resolve(): void; reject(error: Error): void }>();
  const said = (order: string) =>
    new Promise<void>((resolve, reject) => waiting.set(order, { resolve: () => resolve(), reject }));
  child.on("message", ({ order, failure }: { order: string; failure?: string }) => {
    if (failure === undefined) waiting.get(order)?.resolve();
    else waiting.get(order)?.reject(new BenchError(`bare: ${failure}`));
    waiting.delete(order);
  });
  child.once("exit", () => {
    for (const { reject } of waiting.values()) reject(new BenchError("bare ended too early"));
  });
  await said("");
  return {
    own: ["client"],
    usage: () => ({ client: usageOf(child.pid ?? 0), ...(food.group && { food: usageOf(food.group) }) }),
    carry: (orders) =>
      eachOf(orders, (order) => {
        const done = said(order);
        child.send(order);
        return done;
      }),
    stop: async () => {
      child.disconnect();
      await once(child, "exit");
    },
  };
}
