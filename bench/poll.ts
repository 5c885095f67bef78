/** How many orders a second a poll lists and publishes, beside the slower of listing alone and publishing alone. */

import { STAGES } from "../functions/src/domain/order-lifecycle.js";
import { CONTINUATION_TOPIC } from "../functions/src/pipeline/messages.js";
import { messageEvent } from "../harness/cloud-events.js";
import { PubSubTopics } from "../harness/emulators/pubsub-rest.js";
import { seedFoodServiceState } from "../harness/food-service-state.js";
import { functionEnvironment } from "../harness/function-instance.js";
import { type Usage, usageOf } from "../harness/process-usage.js";
import { buildBaseline, deployed } from "./baselines.js";
import type { Bench, BenchContext, Figures } from "./bench.js";
import { alternate, BenchError, column, expectEqual, figuresOf, medians, ratio } from "./measure.js";
import type { World } from "./world.js";

const SIZES = { full: [1_000, 10_000, 100_000], smoke: [200] };

/** A poll of this many orders is long enough to be its own warm-up. */
const LARGE = 100_000;

const SIDES = ["ours", "list", "publish"] as const;
type Side = (typeof SIDES)[number];

export const poll: Bench = {
  name: "poll",
  question: "orders a second that a poll lists and publishes, over the slower of listing alone and publishing alone",
  targets: { orders10000Ratio: { atLeast: 0.85 } },
  measure,
};

interface Poll {
  perSecond: number;
  /** Milliseconds an order. */
  cpu: number;
  /** How many processors this side, the food service and the emulator used together. */
  cores: number;
  memory: number;
}

async function measure({ world, runs, smoke, say }: BenchContext): Promise<Figures> {
  const baseline = await buildBaseline(world.directory, "poll");
  const figures: Figures = {};
  for (const orders of SIZES[smoke ? "smoke" : "full"]) {
    const { ours, list, publish } = await alternate(SIDES, { runs, smoke }, (side) =>
      pollOnce(world, side, orders, baseline),
    );
    const slower = list.map(({ perSecond }, run) => Math.min(perSecond, publish[run]?.perSecond ?? 0));
    const name = `orders${orders}`;
    Object.assign(figures, {
      [`${name}Ratio`]: ratio(column(ours, "perSecond"), slower),
      ...figuresOf(name, ours, { ...PARTS, MiB: "memory" }),
      ...figuresOf(`${name}List`, list, PARTS),
      ...figuresOf(`${name}Publish`, publish, PARTS),
    });
    const shown = ["PerSecond", "ListPerSecond", "PublishPerSecond", "Ratio", "BusyCores"];
    say(medians(figures, ...shown.map((part) => name + part)));
  }
  return figures;
}

const PARTS = { PerSecond: "perSecond", CpuMs: "cpu", BusyCores: "cores" } as const;

let projects = 0;

async function pollOnce(world: World, side: Side, orders: number, baseline: string): Promise<Poll> {
  const emulators = await world.emulators();
  const project = `bench-poll-${++projects}`;
  seedFoodServiceState(`${world.directory}/${project}`, { finished: 0, active: orders });
  const food = await world.foodService(project, { speed: 1 });
  const topics = new PubSubTopics(emulators.pubsub, project);
  for (const topic of [...Object.values(STAGES).map(({ topic }) => topic), CONTINUATION_TOPIC])
    await topics.make(topic);
  const env = functionEnvironment(project, emulators, food, { POLL_PAGE_SIZE: "500" });
  const own = { ...env, BENCH_CASE: side, BENCH_ORDERS: String(orders) };
  const instance = await world.startInstance(
    side === "ours"
      ? deployed("pollOrders", env)
      : { build: baseline, target: "baseline", takes: "requests", env: own },
  );
  if (orders < LARGE) {
    // The first poll warms up code, connections and the emulator.
    await instance.invoke({});
    await continueAll(world, topics, env);
    await topics.take(STAGES.kitchen.topic);
  }
  const machine = () => [instance.usage(), usageOf(emulators.groups.pubsub), usageOf(food.group ?? 0)];
  const before = machine();
  const began = performance.now();
  await instance.invoke({});
  const after = machine();
  await continueAll(world, topics, env);
  const seconds = (performance.now() - began) / 1000;
  const [cpu = 0, ...others] = after.map((usage, index) => usage.cpu - (before[index]?.cpu ?? 0));
  const cores = others.reduce((sum, one) => sum + one, cpu) / (seconds * 1000);
  await instance.stop();
  await food.kill();
  const published = (await topics.take(STAGES.kitchen.topic)) as { order: string }[];
  const distinct = new Set(published.map(({ order }) => order)).size;
  if (side !== "list") expectEqual(distinct, orders, `orders that ${side} published of ${orders}`);
  if (side !== "list") expectEqual(published.length, orders, `messages that ${side} published of ${orders}`);
  return { perSecond: orders / seconds, cpu: cpu / orders, cores, memory: after[0]?.memory ?? 0 };
}

/** Continues a poll that ran out of time, like the function, until it has listed everything. */
async function continueAll(world: World, topics: PubSubTopics, env: Record<string, string>): Promise<void> {
  for (let turns = 0; turns < 100; turns++) {
    const [continuation] = await topics.take(CONTINUATION_TOPIC);
    if (continuation === undefined) return;
    await continuePoll(world, [continuation], env);
  }
  throw new BenchError("a poll never ended");
}

/** Makes a fresh instance handle these continuations, and returns its usage. */
export async function continuePoll(
  world: World,
  continuations: unknown[],
  env: Record<string, string>,
): Promise<Usage> {
  const instance = await world.startInstance(deployed("continuePoll", env));
  for (const continuation of continuations) await instance.invoke(messageEvent(CONTINUATION_TOPIC, continuation));
  const usage = instance.usage();
  await instance.stop();
  return usage;
}
