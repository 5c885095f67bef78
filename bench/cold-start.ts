/**
 * From the spawn of an instance's process to its first handled event, for every deployed function, beside one that does nothing
 * and, for the stages, one as Google's guides write it.
 */

import type { FunctionName } from "../functions/src/adapters/firebase/function-options.js";
import { STAGES } from "../functions/src/domain/order-lifecycle.js";
import { CONTINUATION_TOPIC } from "../functions/src/pipeline/messages.js";
import { documentChanged, documentVersion, messageEvent, orderEvent } from "../harness/cloud-events.js";
import { valuesOf } from "../harness/emulators/firestore-rest.js";
import { PubSubTopics } from "../harness/emulators/pubsub-rest.js";
import { functionEnvironment } from "../harness/function-instance.js";
import { buildBaseline, deployed } from "./baselines.js";
import type { Bench, BenchContext, Figures } from "./bench.js";
import { alternate, expectEqual, figuresOf, medians, ratioOf } from "./measure.js";
import { clientOf, place, seedOrderAt } from "./orders.js";
import { folderOf, installPeer } from "./peers/peer.js";
import type { InstanceStart, World } from "./world.js";

const PROJECT = "bench-cold-start";

/** The trigger of each function, and so its baseline. */
const KINDS: Record<FunctionName, "message" | "document" | "schedule" | "request"> = {
  pollOrders: "schedule",
  continuePoll: "message",
  sendToKitchen: "message",
  dispatchShipment: "message",
  completeOrder: "message",
  onRelationWritten: "document",
  onRelationCreated: "document",
  sweep: "schedule",
  api: "request",
};

const NAMES = Object.keys(KINDS) as FunctionName[];

/** One of each kind. */
const FEW: FunctionName[] = ["pollOrders", "sendToKitchen", "onRelationWritten", "api"];

/** Those that publish, and so connect to Pub/Sub too. */
const isPublisher = (name: FunctionName) => name === "pollOrders";

/** Those that are compared with the plain peer's. */
const IN_PLAIN = ["sendToKitchen", "dispatchShipment", "completeOrder"] as const satisfies FunctionName[];
const isInPlain = (name: FunctionName) => IN_PLAIN.some((stage) => stage === name);

export const coldStart: Bench = {
  name: "cold-start",
  question: "process spawn to first handled event, for every function, over a no-op of the same trigger",
  targets: Object.fromEntries([
    ...NAMES.map((name) => [`${name}Ratio`, { atMost: isPublisher(name) ? 2 : 1.6 }] as const),
    ...IN_PLAIN.map((name) => [`${name}OverPlain`, { atMost: 0.5 }] as const),
  ]),
  measure,
};

type Side = "ours" | "plain" | "baseline";

interface Start {
  milliseconds: number;
  cpu: number;
  memory: number;
}

const PARTS = { Ms: "milliseconds", CpuMs: "cpu", MiB: "memory" } as const;

async function measure(context: BenchContext): Promise<Figures> {
  const { world, runs, smoke, peers, say } = context;
  if (peers) await installPeer("plain", say);
  const stand = await prepare(context);
  const figures: Figures = {};
  for (const name of smoke ? FEW : NAMES) {
    const kind = KINDS[name];
    const baseline = await buildBaseline(world.directory, `noop-${kind}`);
    const compared: Side[] = peers && isInPlain(name) ? ["ours", "plain", "baseline"] : ["ours", "baseline"];
    const starts = await alternate(compared, { runs, smoke }, (side) => startOnce(world, stand, name, side, baseline));
    Object.assign(figures, {
      [`${name}Ratio`]: ratioOf("milliseconds", starts.ours, starts.baseline),
      [`${name}CpuRatio`]: ratioOf("cpu", starts.ours, starts.baseline),
      ...figuresOf(name, starts.ours, PARTS),
      ...figuresOf(`${kind}Baseline`, starts.baseline, PARTS),
    });
    say(medians(figures, `${name}Ms`, `${kind}BaselineMs`, `${name}Ratio`, `${name}CpuRatio`));
    if (!compared.includes("plain")) continue;
    Object.assign(figures, {
      [`${name}OverPlain`]: ratioOf("milliseconds", starts.ours, starts.plain),
      [`${name}OverPlainCpu`]: ratioOf("cpu", starts.ours, starts.plain),
      ...figuresOf(`${name}Plain`, starts.plain, PARTS),
    });
    say(medians(figures, `${name}OverPlain`, `${name}OverPlainCpu`));
  }
  return figures;
}

/** The environment of all instances. */
interface Stand {
  env: Record<string, string>;
  topics: PubSubTopics;
  /** Creates an event for a function. */
  events: Record<FunctionName, () => object>;
}

async function prepare({ world, runs }: BenchContext): Promise<Stand> {
  const emulators = await world.emulators();
  const food = await world.foodService("cold-start", { speed: 1 });
  const topics = new PubSubTopics(emulators.pubsub, PROJECT);
  for (const { topic } of Object.values(STAGES)) await topics.make(topic);
  await topics.make(CONTINUATION_TOPIC);
  const client = clientOf(food);
  world.onEnd(() => client.close());
  const [first = "", second = "", third = "", ...fresh] = await place(food, 3 + (runs + 1) * 3);
  const preparing = await seedOrderAt("PREPARATION", first, client, emulators, PROJECT);
  const flying = await seedOrderAt("IN_FLIGHT", second, client, emulators, PROJECT);
  const { relation } = await seedOrderAt("PREPARATION", third, client, emulators, PROJECT);

  const version = documentVersion(PROJECT, relation.path, valuesOf(relation.fields));
  const relationCreated = documentChanged(PROJECT, relation.path, { value: version });
  const nothing = () => ({});
  return {
    topics,
    env: functionEnvironment(PROJECT, emulators, food, {
      USERS_ADDRESS: await world.users(),
      USERS_SECURITY: "plaintext",
      FUNCTIONS_EMULATOR: "true",
    }),
    events: {
      pollOrders: nothing,
      // No poll is running, so it only reads the lease and stops.
      continuePoll: () =>
        messageEvent(CONTINUATION_TOPIC, { holder: "none", step: 1, statuses: ["NEW"], pageToken: "" }),
      sendToKitchen: () => orderEvent("kitchen", fresh.pop() ?? first),
      dispatchShipment: () => orderEvent("shipment", preparing.order),
      completeOrder: () => orderEvent("completion", flying.order),
      onRelationWritten: () => relationCreated,
      onRelationCreated: () => relationCreated,
      sweep: nothing,
      api: nothing,
    },
  };
}

/** The time from an instance's spawn to the end of its first event, and its usage until then. */
async function startOnce(
  world: World,
  { env, topics, events }: Stand,
  name: FunctionName,
  side: Side,
  baseline: string,
): Promise<Start> {
  const own = deployed(name, env);
  // What anybody may ask for; a token would be looked at by Firebase's own client.
  const asked = KINDS[name] === "request" ? { path: "/api/openapi.json" } : {};
  const sides: Record<Side, InstanceStart> = {
    ours: { ...own, ...asked },
    plain: { ...own, build: folderOf("plain") },
    baseline: { ...own, ...asked, build: baseline, target: "baseline" },
  };
  const event = events[name]();
  const began = performance.now();
  const instance = await world.startInstance(sides[side]);
  await instance.invoke(event);
  const milliseconds = performance.now() - began;
  const usage = instance.usage();
  await instance.stop();
  const published = await topics.take(STAGES.kitchen.topic);
  expectEqual(published.length > 0, side === "ours" && isPublisher(name), `whether ${name} published`);
  return { milliseconds, ...usage };
}
