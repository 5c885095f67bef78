/**
 * What an order costs from NEW to DELIVERED: through the built functions, through functions as Google's guides write them, as a
 * durable workflow on Restate and on DBOS, and with nothing but the calls. Kitchen and drones are as good as instant, so no side
 * waits or looks twice.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import type { OutgoingHttpHeaders } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { FunctionName } from "../functions/src/adapters/firebase/function-options.js";
import { seededRandomness } from "../functions/src/adapters/memory/random.js";
import { ACTIVE_STATUSES } from "../functions/src/domain/order-lifecycle.js";
import { RELATIONS } from "../functions/src/relations/relation.js";
import { Bridge, type FunctionRunner } from "../harness/event-bridge.js";
import type { FoodServiceProcess } from "../harness/food-service-process.js";
import type { FunctionInstance } from "../harness/function-instance.js";
import { type Usage, usageOf, usageOfFamily } from "../harness/process-usage.js";
import { TYPESCRIPT } from "../services/program-args.js";
import { DEPLOYED } from "./baselines.js";
import type { Bench, BenchContext, Figures } from "./bench.js";
import { alternate, BenchError, expectEqual, ratio, summary } from "./measure.js";
import { clientOf, forEachOrder, place } from "./orders.js";
import { findPostgres, startDbos } from "./peers/dbos.js";
import { folderOf, installPeer } from "./peers/peer.js";
import { type RestateMode, startRestate } from "./peers/restate.js";
import { environment, type World } from "./world.js";

const SIZES = {
  full: { orders: 300, warmUp: 300 },
  smoke: { orders: 10, warmUp: 3 },
};

/** At most so many orders are active: a message that waits too long would be pushed again. */
const MAX_ACTIVE = 150;

/** So many orders must be delivered within this time. */
const CARRY_TIMEOUT_MS = 120_000;

/** The wait before an event that failed comes again. */
const RETRY_MS = 500;

const BARE = fileURLToPath(new URL("peers/bare.ts", import.meta.url));

const FUNCTIONS = ["sendToKitchen", "dispatchShipment", "completeOrder", "onRelationWritten", "pollOrders"] as const;

const PEERS = ["plain", "requestResponse", "bidirectional", "dbos"] as const;
type Side = "ours" | "bare" | (typeof PEERS)[number];

export const pipeline: Bench = {
  name: "pipeline",
  question:
    "orders a second, and CPU per order by process, from NEW to DELIVERED; beside plain functions, Restate, DBOS and bare calls",
  targets: { oursOverRequestResponse: { atMost: 1 }, oursOverPlain: { atMost: 0.7 } },
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

async function measure({ world, runs, smoke, peers, say }: BenchContext): Promise<Figures> {
  const { orders, warmUp } = SIZES[smoke ? "smoke" : "full"];
  const sides: Side[] = peers ? ["ours", ...PEERS, "bare"] : ["ours", "bare"];
  if (peers) {
    findPostgres();
    for (const peer of ["plain", "restate", "dbos"] as const) await installPeer(peer, say);
  }
  let number = 0;
  const results = await alternate(sides, runs, async (side): Promise<Carried> => {
    const name = `bench-pipeline-${++number}`;
    const food = await world.foodService(name, { speed: 1_000_000 });
    const carrier = await CARRIERS[side](world, name, food);
    const carry = async (count: number) => {
      for (let left = count; left > 0; left -= MAX_ACTIVE) {
        await carrier.carry(await place(food, Math.min(left, MAX_ACTIVE)));
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

function expectDelivered(food: FoodServiceProcess, count: number, side: Side): void {
  const { orders, kitchenOrders, shipments } = food.truth();
  expectEqual(orders.filter(({ status }) => status === "DELIVERED").length, count, `orders that ${side} delivered`);
  expectEqual(kitchenOrders.length, count, `kitchen orders of ${side}`);
  expectEqual(shipments.length, count, `shipments of ${side}`);
}

const CARRIERS: Record<Side, (world: World, name: string, food: FoodServiceProcess) => Promise<Carrier>> = {
  ours: (world, name, food) => startFunctions(world, name, food, DEPLOYED),
  plain: (world, name, food) => startFunctions(world, name, food, folderOf("plain")),
  requestResponse: (world, name, food) => startOnRestate(world, name, food, "request-response"),
  bidirectional: (world, name, food) => startOnRestate(world, name, food, "bidirectional"),
  dbos: startOnDbos,
  bare: startBare,
};

/** The functions of one build, one instance each. */
class BuiltFunctions implements FunctionRunner {
  readonly deliveries = [];
  readonly instances = new Map<FunctionName, FunctionInstance>();
  /** How many events each function got, repeated ones included. */
  readonly received = new Map<FunctionName, number>();
  private inProgress = 0;
  private stopped = false;

  static async start(world: World, build: string, env: Record<string, string>): Promise<BuiltFunctions> {
    const functions = new BuiltFunctions();
    for (const target of FUNCTIONS) {
      const takes = target === "pollOrders" ? "requests" : "events";
      functions.instances.set(target, await world.startInstance({ build, target, takes, env }));
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

async function startFunctions(
  world: World,
  project: string,
  food: FoodServiceProcess,
  build: string,
): Promise<Carrier> {
  const emulators = await world.emulators();
  const env = environment(project, emulators, food, { POLL_PAGE_SIZE: "500" });
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
  return {
    own: [...FUNCTIONS],
    usage: () => ({
      ...functions.usage(),
      firestore: usageOf(emulators.groups.firestore),
      pubsub: usageOf(emulators.groups.pubsub),
      ...(food.group && { food: usageOf(food.group) }),
    }),
    async carry() {
      const deadline = Date.now() + CARRY_TIMEOUT_MS;
      for (const status of ACTIVE_STATUSES) {
        await bridge.tick("pollOrders");
        for (;;) {
          const { orders } = await client.listOrders({ status, pageSize: 1000, pageToken: "" });
          if (orders.length === 0 && functions.isIdle && bridge.isIdle) break;
          if (Date.now() > deadline) throw new BenchError(`${orders.length} orders never left ${status}`);
          await sleep(20);
        }
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

async function startOnRestate(
  world: World,
  name: string,
  food: FoodServiceProcess,
  mode: RestateMode,
): Promise<Carrier> {
  const { groups, carry, stop } = await startRestate(world, join(world.directory, name), mode, addressOf(food));
  return {
    own: ["server", "service"],
    usage: () => ({
      server: usageOf(groups.server),
      service: usageOf(groups.service),
      ...(food.group && { food: usageOf(food.group) }),
    }),
    carry: (orders) => forEachOrder(orders, carry),
    stop,
  };
}

async function startOnDbos(world: World, name: string, food: FoodServiceProcess): Promise<Carrier> {
  const { database, service, carry, stop } = await startDbos(world, join(world.directory, name), addressOf(food));
  return {
    own: ["database", "service"],
    usage: () => ({
      database: usageOfFamily(database),
      service: usageOf(service),
      ...(food.group && { food: usageOf(food.group) }),
    }),
    carry: (orders) => forEachOrder(orders, carry),
    stop,
  };
}

function addressOf({ address, certificate }: FoodServiceProcess): Record<string, string> {
  return { FOOD_SERVICE_ADDRESS: address, FOOD_SERVICE_CA: certificate };
}

async function startBare(world: World, _name: string, food: FoodServiceProcess): Promise<Carrier> {
  const child = fork(BARE, {
    execArgv: TYPESCRIPT,
    env: { ...process.env, ...addressOf(food) },
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
      forEachOrder(orders, (order) => {
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
