/** What a stage does a second and what an event costs, beside a bare script that makes the same calls behind a no-op. */

import { STAGES } from "../functions/src/domain/order-lifecycle.js";
import { packOrders } from "../functions/src/pipeline/messages.js";
import { messageEvent, orderEvent } from "../harness/cloud-events.js";
import type { FunctionInstance } from "../harness/function-instance.js";
import { functionEnvironment } from "../harness/function-instance.js";
import { buildBaseline, deployed } from "./baselines.js";
import type { Bench, BenchContext, Figures } from "./bench.js";
import { alternate, expectEqual, figuresOf, medians, percentile, ratioOf } from "./measure.js";
import { clientOf, forEachOrder, place, seedOrderAt } from "./orders.js";

const SIZES = {
  full: { orders: 1_500, warmUp: 300 },
  smoke: { orders: 20, warmUp: 5 },
};

const SIDES = ["ours", "baseline"] as const;
type Side = (typeof SIDES)[number];

/**
 * What happens to an order: it waits, on an instance that sees it for the first time or has seen it before; it is created, or was created
 * before. One that was seen before shares its event with others, as a poll sends it; the floor's has its own.
 */
const CASES = {
  tick: "dispatchShipment",
  warmTick: "dispatchShipment",
  create: "sendToKitchen",
  duplicate: "sendToKitchen",
} as const;
type Case = keyof typeof CASES;

export const stage: Bench = {
  name: "stage",
  question:
    "orders a second, time, CPU and memory of a stage: a first and a later idle tick, a create, a duplicate, over the same calls alone",
  targets: {
    tickThroughputRatio: { atLeast: 0.85 },
    warmTickCpuRatio: { atMost: 0.7 },
    createThroughputRatio: { atLeast: 0.75 },
    createMiB: { atMost: 180 },
    tickMiB: { atMost: 256 },
  },
  measure,
};

interface Load {
  perSecond: number;
  p50: number;
  p99: number;
  cpu: number;
  memory: number;
}

const PARTS = { PerSecond: "perSecond", P50Ms: "p50", P99Ms: "p99", CpuMs: "cpu", MiB: "memory" } as const;

async function measure(context: BenchContext): Promise<Figures> {
  const { world, say } = context;
  const baseline = await buildBaseline(world.directory, "stage");
  const figures: Figures = {};
  for (const which of Object.keys(CASES) as Case[]) {
    const { ours, baseline: bare } = await alternate(SIDES, context, (side) => load(context, side, which, baseline));
    Object.assign(figures, {
      [`${which}ThroughputRatio`]: ratioOf("perSecond", ours, bare),
      [`${which}CpuRatio`]: ratioOf("cpu", ours, bare),
      ...figuresOf(which, ours, PARTS),
      ...figuresOf(`${which}Baseline`, bare, PARTS),
    });
    const shown = ["PerSecond", "BaselinePerSecond", "CpuMs", "BaselineCpuMs", "ThroughputRatio", "CpuRatio"];
    say(medians(figures, ...shown.map((name) => which + name)));
  }
  return figures;
}

let projects = 0;

/** One side in one case, with its own food service, project and instance. */
async function load({ world, smoke }: BenchContext, side: Side, which: Case, baseline: string): Promise<Load> {
  const { orders, warmUp } = SIZES[smoke ? "smoke" : "full"];
  const emulators = await world.emulators();
  const project = `bench-stage-${++projects}`;
  const food = await world.foodService(project, { speed: 1 });
  const names = await place(food, warmUp + orders);
  if (which !== "create") {
    const client = clientOf(food);
    await forEachOrder(names, (name) => seedOrderAt("PREPARATION", name, client, emulators, project));
    client.close();
  }
  const env = { ...functionEnvironment(project, emulators, food), BENCH_CASE: which === "warmTick" ? "tick" : which };
  const instance = await world.startInstance(
    side === "ours" ? deployed(CASES[which], env) : { build: baseline, target: "baseline", takes: "events", env },
  );
  const stage = CASES[which] === "dispatchShipment" ? "shipment" : "kitchen";
  const events = names.map((name) => orderEvent(stage, name));
  if (which === "warmTick") await instance.invokeAll(events);
  const isPacked = which === "warmTick" && side === "ours";
  const result = isPacked
    ? await invokeAll(instance, packedEvents(names.slice(warmUp)), 0, orders)
    : await invokeAll(instance, events, warmUp, orders);
  await instance.stop();
  await food.kill();
  const { kitchenOrders, shipments } = food.truth();
  expectEqual(kitchenOrders.length, names.length, `kitchen orders of ${side}, ${which}`);
  expectEqual(shipments.length, 0, `shipments of ${side}, ${which}`);
  return result;
}

/** The events with which a poll delivers orders that wait for the kitchen. */
function packedEvents(names: string[]): object[] {
  const { topic, takes } = STAGES.shipment;
  const messages = names.map((order) => ({ order, status: takes }));
  return packOrders("shipment", messages).map((payload) => messageEvent(topic, payload));
}

/** Delivers all events, and measures those after the warm-up, which contain `orders` orders. */
async function invokeAll(instance: FunctionInstance, events: object[], warmUp: number, orders: number): Promise<Load> {
  await instance.invokeAll(events.slice(0, warmUp));
  const before = instance.usage();
  const began = performance.now();
  const times = await instance.invokeAll(events.slice(warmUp));
  const seconds = (performance.now() - began) / 1000;
  const { cpu, memory } = instance.usage();
  return {
    perSecond: orders / seconds,
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
    cpu: (cpu - before.cpu) / orders,
    memory,
  };
}
