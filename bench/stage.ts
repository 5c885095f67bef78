/** What a stage does a second and what an event costs, beside a bare script that makes the same calls behind a no-op. */

import { STAGES } from "../functions/src/domain/order-lifecycle.js";
import { packOrders } from "../functions/src/pipeline/messages.js";
import { messageEvent, orderEvent } from "../harness/cloud-events.js";
import type { FunctionInstance } from "../harness/function-instance.js";
import { buildBaseline, DEPLOYED } from "./baselines.js";
import type { Bench, BenchContext, Figures } from "./bench.js";
import { alternate, expectEqual, percentile, ratio, summary } from "./measure.js";
import { clientOf, forEachOrder, place, seedOrderAt } from "./orders.js";
import { environment, type InstanceStart } from "./world.js";

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

async function measure({ world, runs, smoke, say }: BenchContext): Promise<Figures> {
  const { orders, warmUp } = SIZES[smoke ? "smoke" : "full"];
  const emulators = await world.emulators();
  const baseline = await buildBaseline(world.directory, "stage");
  let projects = 0;

  /** One side in one case: a food service, a project and an instance of its own. */
  const load = async (side: Side, which: Case): Promise<Load> => {
    const project = `bench-stage-${++projects}`;
    const food = await world.foodService(project, { speed: 1 });
    const client = clientOf(food);
    const env = { ...environment(project, emulators, food), BENCH_CASE: which === "warmTick" ? "tick" : which };
    const sides: Record<Side, InstanceStart> = {
      ours: { build: DEPLOYED, target: CASES[which], takes: "events", env },
      baseline: { build: baseline, target: "baseline", takes: "events", env },
    };
    const names = await place(food, warmUp + orders);
    if (which !== "create") {
      await forEachOrder(names, (name) => seedOrderAt("PREPARATION", name, client, emulators, project));
    }
    client.close();
    const isTick = CASES[which] === "dispatchShipment";
    const events = names.map((name) => orderEvent(isTick ? "shipment" : "kitchen", name));
    const instance = await world.startInstance(sides[side]);
    if (which === "warmTick") await instance.invokeAll(events);
    const isPacked = which === "warmTick" && side === "ours";
    const result = isPacked
      ? await bring(instance, packedEvents(names.slice(warmUp)), 0, orders)
      : await bring(instance, events, warmUp, orders);
    await instance.stop();
    await food.kill();
    const { kitchenOrders, shipments } = food.truth();
    expectEqual(kitchenOrders.length, names.length, `kitchen orders of ${side}, ${which}`);
    expectEqual(shipments.length, 0, `shipments of ${side}, ${which}`);
    return result;
  };

  const figures: Figures = {};
  for (const which of Object.keys(CASES) as Case[]) {
    const loads = await alternate(SIDES, runs, (side) => load(side, which));
    const of = (side: Side, what: keyof Load) => loads[side].map((result) => result[what]);
    figures[`${which}ThroughputRatio`] = ratio(of("ours", "perSecond"), of("baseline", "perSecond"));
    figures[`${which}CpuRatio`] = ratio(of("ours", "cpu"), of("baseline", "cpu"));
    figures[`${which}PerSecond`] = summary(of("ours", "perSecond"));
    figures[`${which}P50Ms`] = summary(of("ours", "p50"));
    figures[`${which}P99Ms`] = summary(of("ours", "p99"));
    figures[`${which}CpuMs`] = summary(of("ours", "cpu"));
    figures[`${which}MiB`] = summary(of("ours", "memory"));
    figures[`${which}BaselinePerSecond`] = summary(of("baseline", "perSecond"));
    figures[`${which}BaselineP50Ms`] = summary(of("baseline", "p50"));
    figures[`${which}BaselineP99Ms`] = summary(of("baseline", "p99"));
    figures[`${which}BaselineCpuMs`] = summary(of("baseline", "cpu"));
    figures[`${which}BaselineMiB`] = summary(of("baseline", "memory"));
    const shown = ["PerSecond", "BaselinePerSecond", "CpuMs", "BaselineCpuMs", "ThroughputRatio", "CpuRatio"];
    say(`${which}: ${shown.map((what) => `${what} ${figures[which + what]?.median}`).join(", ")}`);
  }
  return figures;
}

/** The events in which a poll brings orders that wait for the kitchen. */
function packedEvents(names: string[]): object[] {
  const { topic, takes } = STAGES.shipment;
  const messages = names.map((order) => ({ order, status: takes }));
  return packOrders("shipment", messages).map((payload) => messageEvent(topic, payload));
}

/** Brings all events, and measures those after the warm-up, which have so many orders. */
async function bring(instance: FunctionInstance, events: object[], warmUp: number, orders: number): Promise<Load> {
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
