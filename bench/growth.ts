/**
 * What a poll and an idle tick cost as the number of finished orders grows: operations counted first, then time.
 *
 * The food service keeps every finished order. Firestore's emulator, which keeps all in memory, has the relation of one in
 * fifty; Firestore itself finds a document by its name in the same time however many there are.
 */

import { FirestoreStore, openFirestore } from "../functions/src/adapters/firebase/firestore-store.js";
import { PubSubBus } from "../functions/src/adapters/firebase/pubsub-bus.js";
import { systemClock, systemRandomness } from "../functions/src/adapters/firebase/system-clock.js";
import { STAGES } from "../functions/src/domain/order-lifecycle.js";
import { RecentLinks } from "../functions/src/link-cache.js";
import { handleOrderMessage, SCHEDULED } from "../functions/src/pipeline/handlers.js";
import { unpackOrders } from "../functions/src/pipeline/messages.js";
import type { FoodService, Ports, Store } from "../functions/src/ports.js";
import { testBed } from "../functions/src/testing/test-bed.js";
import { orderEvent } from "../harness/cloud-events.js";
import { PubSubTopics } from "../harness/emulators/pubsub-rest.js";
import type { Emulators } from "../harness/emulators/standalone.js";
import { withEnvironment } from "../harness/env.js";
import type { FoodServiceProcess } from "../harness/food-service-process.js";
import { seedFoodServiceState } from "../harness/food-service-state.js";
import { functionEnvironment } from "../harness/function-instance.js";
import { deployed } from "./baselines.js";
import type { Bench, BenchContext, Figures } from "./bench.js";
import { alternate, expectEqual, figuresOf, medians, ratio, ratioOf, summary } from "./measure.js";
import { clientOf, forEachOrder, seedOrderAt } from "./orders.js";
import type { World } from "./world.js";

const SIZES = {
  full: { finished: [0, 100_000, 1_000_000], active: 300, polls: 40 },
  smoke: { finished: [0, 500, 1_000], active: 10, polls: 2 },
};

/** How many finished orders there are for each relation in Firestore, and how many relations one commit writes. */
const ORDERS_A_RELATION = 50;
const RELATIONS_A_COMMIT = 400;

/** The names of the sizes in the figures. */
const NAMES = ["none", "some", "many"] as const;
type Size = (typeof NAMES)[number];

export const growth: Bench = {
  name: "growth",
  question: "what a poll and an idle tick cost with 1,000,000 finished orders behind them, over none",
  targets: {
    pollOperationsRatio: { atMost: 1 },
    tickOperationsRatio: { atMost: 1 },
    pollTimeRatio: { atMost: 1.05 },
    tickTimeRatio: { atMost: 1.05 },
  },
  measure,
};

interface Past {
  project: string;
  food: FoodServiceProcess;
  /** Orders whose kitchen is at work. */
  preparing: string[];
}

async function measure({ world, runs, smoke, say }: BenchContext): Promise<Figures> {
  const { finished, active, polls } = SIZES[smoke ? "smoke" : "full"];
  const emulators = await world.emulators();
  const pasts = {} as Record<Size, Past>;
  for (const [index, size] of NAMES.entries()) {
    const count = finished[index] ?? 0;
    say(`making ${count} finished orders`);
    pasts[size] = await makePast(world, emulators, `bench-growth-${size}`, count, active);
  }
  const figures: Figures = {};
  for (const size of NAMES) {
    const { poll, tick } = await countOperations(pasts[size], emulators, active);
    figures[`${size}PollOperations`] = summary([poll]);
    figures[`${size}TickOperations`] = summary([tick]);
  }
  const times = await alternate(NAMES, { runs, smoke }, (size) => timeOf(world, emulators, pasts[size], polls, active));
  for (const size of NAMES) Object.assign(figures, figuresOf(size, times[size], { PollMs: "poll", TickMs: "tick" }));
  const operations = (name: string) => [figures[name]?.median ?? Number.NaN];
  figures.pollOperationsRatio = ratio(operations("manyPollOperations"), operations("nonePollOperations"));
  figures.tickOperationsRatio = ratio(operations("manyTickOperations"), operations("noneTickOperations"));
  figures.pollTimeRatio = ratioOf("poll", times.many, times.none);
  figures.tickTimeRatio = ratioOf("tick", times.many, times.none);
  say(`over none: ${medians(figures, "pollTimeRatio", "tickTimeRatio")}`);
  return figures;
}

/** A food service with finished orders, and active ones that wait for their kitchen. */
async function makePast(
  world: World,
  emulators: Emulators,
  project: string,
  finished: number,
  active: number,
): Promise<Past> {
  seedFoodServiceState(`${world.directory}/${project}`, { finished, active });
  const food = await world.foodService(project, { speed: 1 });
  const topics = new PubSubTopics(emulators.pubsub, project);
  for (const { topic } of Object.values(STAGES)) await topics.make(topic);
  const client = clientOf(food);
  const preparing = Array.from({ length: active }, (_, number) => `orders/active-${number}`);
  await forEachOrder(preparing, (order) => seedOrderAt("PREPARATION", order, client, emulators, project));
  client.close();
  const store = openStore(project, emulators);
  for (let from = 0; from < finished / ORDERS_A_RELATION; from += RELATIONS_A_COMMIT) {
    const count = Math.min(RELATIONS_A_COMMIT, finished / ORDERS_A_RELATION - from);
    await store.commit(
      Array.from({ length: count }, (_, index) => ({
        kind: "create",
        path: `relations/old-${from + index}`,
        fields: { schema: 1, state: "DELIVERED", kitchen: `kitchenorders/${from + index}`, shipment: "shipments/1" },
      })),
    );
  }
  return { project, food, preparing };
}

function openStore(project: string, { firestore }: Emulators): FirestoreStore {
  return withEnvironment({ FIRESTORE_EMULATOR_HOST: firestore }, () => new FirestoreStore(openFirestore(project)));
}

/** Every call to the food service and to Firestore, and every message, of one poll and of one idle tick. */
async function countOperations({ project, food, preparing }: Past, emulators: Emulators, active: number) {
  let operations = 0;
  const counted = <T extends object>(port: T): T =>
    new Proxy(port, {
      get(target, name) {
        const member = Reflect.get(target, name) as unknown;
        if (typeof member !== "function") return member;
        return (...given: unknown[]) => {
          operations++;
          return Reflect.apply(member, target, given) as unknown;
        };
      },
    });
  const client = clientOf(food);
  const store = openStore(project, emulators);
  // Read when the first message is published.
  Object.assign(process.env, { GCLOUD_PROJECT: project, PUBSUB_EMULATOR_HOST: emulators.pubsub });
  const bus = new PubSubBus();
  let published = 0;
  const usual = testBed({ FOOD_SERVICE_ADDRESS: food.address }).ports;
  const ports: Ports = {
    ...usual,
    clock: systemClock,
    random: systemRandomness,
    store: counted<Store>(store),
    food: counted<FoodService>(client),
    links: new RecentLinks(systemClock, usual.settings),
    bus: {
      publishOrders: (stage, messages) => {
        published += messages.length;
        operations++;
        return bus.publishOrders(stage, messages);
      },
      publishContinuation: (continuation) => bus.publishContinuation(continuation),
    },
  };
  await SCHEDULED.pollOrders(ports);
  expectEqual(published, active, "orders of a poll");
  const poll = operations;
  operations = 0;
  await handleOrderMessage("shipment", { order: preparing[0], status: "PREPARATION" }, ports);
  client.close();
  return { poll, tick: operations };
}

/** The milliseconds of a poll and of an idle tick, by fresh instances of the built functions. */
async function timeOf(
  world: World,
  emulators: Emulators,
  { project, food, preparing }: Past,
  polls: number,
  active: number,
): Promise<{ poll: number; tick: number }> {
  const env = functionEnvironment(project, emulators, food);
  const topics = new PubSubTopics(emulators.pubsub, project);
  const poller = await world.startInstance(deployed("pollOrders", env));
  await poller.invoke({});
  await topics.take(STAGES.shipment.topic);
  const pollTimes = await poller.invokeAll(Array(polls).fill({}), 1);
  await poller.stop();
  const published = (await topics.take(STAGES.shipment.topic)).flatMap(unpackOrders);
  expectEqual(published.length, polls * active, `orders of ${polls} polls`);
  const stage = await world.startInstance(deployed("dispatchShipment", env));
  const events = preparing.map((order) => orderEvent("shipment", order));
  await stage.invokeAll(events);
  const tickTimes = await stage.invokeAll(events, 1);
  await stage.stop();
  return { poll: summary(pollTimes).median, tick: summary(tickTimes).median };
}
